//! The background task: outages and notifications.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{super::*, actor, grant};
use crate::{
    config::{self, DatabaseSettings, DatabaseUrl, SeedGrant, SeedGroup},
    name::BridgeName,
    secret::Secret,
    store::testing::{Base, admin, url_of},
};

/// `[access]` with a plain grant, a narrowed one and an administrator.
pub(super) fn seed() -> config::AccessSettings {
    let grant = |bridge: &str, tools: &[&str]| SeedGrant {
        bridge: BridgeName::parse(bridge).unwrap(),
        tools: tools.iter().map(|&tool| tool.to_owned()).collect(),
        read_only: false,
    };
    config::AccessSettings {
        admins: vec!["Root@Example.com".to_owned()],
        groups: vec![SeedGroup {
            name: "devs".to_owned(),
            // The narrowed grant comes first, because the order must not matter.
            grants: vec![grant("time", &["now"]), grant("github", &[])],
        }],
        ..config::AccessSettings::default()
    }
}

/// A running store, which is stopped when the test ends.
pub(super) struct Running {
    pub(super) store: Arc<Store>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    fn start(database: &DatabaseSettings, seed: config::AccessSettings) -> Self {
        let store = Arc::new(Store::open(database).unwrap());
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&store).run(seed, stop.clone()));
        Self { store, stop, task }
    }

    /// Starts the store and waits until it has connected.
    pub(super) async fn connected(database: &DatabaseSettings) -> Self {
        let running = Self::start(database, config::AccessSettings::default());
        running
            .until(|store| store.health() == StoreHealth::Connected)
            .await;
        running
    }

    async fn until(&self, condition: impl Fn(&Store) -> bool) {
        tokio::time::timeout(Duration::from_secs(15), async {
            while !condition(&self.store) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("it did not come to pass: {:?}", self.store.health()));
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// In an earlier version the first calls after every start were refused.
#[tokio::test]
async fn who_asks_before_the_first_try_has_ended_waits_for_it() {
    for base in Base::both().await {
        let running = Running::start(&base.config(), config::AccessSettings::default());
        let member = running.store.member("a@b").await;
        assert!(member.is_ok(), "{member:?}, {:?}", base.url);
        running.end().await;
    }
}

#[tokio::test]
async fn another_replica_hears_of_a_change_within_a_second() {
    for base in Base::both().await {
        let listening = Running::connected(&base.config()).await;
        let writing = base.store().await;
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        let insert = format!(
            "INSERT INTO {schema}group_tenant_mapping (group_name, tenant_id) VALUES ('g', 't')"
        );
        // All earlier changes are reported by now, so one change causes at least one bump.
        tokio::time::sleep(Duration::from_millis(600)).await;
        for step in 0..4 {
            let before = listening.store.version();
            match step {
                0 => drop(writing.add_member(&actor(), "a@b", "devs").await.unwrap()),
                1 => drop(
                    writing
                        .grant(&actor(), &grant("devs", "x", &["y"]))
                        .await
                        .unwrap(),
                ),
                2 => drop(writing.set_admin(&actor(), "a@b", true).await.unwrap()),
                // Changed by another program.
                _ => base.execute(&insert).await,
            }
            let waited = tokio::time::timeout(
                Duration::from_secs(1),
                listening.until(|store| store.version() > before),
            );
            assert!(waited.await.is_ok(), "step {step}, {:?}", base.url);
        }
        // A record of the audit trail is not a change of access.
        let before = listening.store.version();
        writing
            .put_changes(&[ChangeRecord {
                id: "x".to_owned(),
                ..ChangeRecord::default()
            }])
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(listening.store.version(), before);
        listening.end().await;
    }
}

#[tokio::test]
async fn a_cut_listener_comes_back_and_bumps() {
    let base = Base::postgres().await;
    let running = Running::connected(&base.config()).await;
    let before = running.store.version();
    base.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    running
        .until(|store| store.version() > before && store.health() == StoreHealth::Connected)
        .await;
    running.store.grants().await.unwrap();
    // It listens again.
    let other = base.store().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = running.store.version();
    other.add_member(&actor(), "a@b", "devs").await.unwrap();
    running.until(|store| store.version() > before).await;
    running.end().await;
}

#[tokio::test]
async fn a_database_that_comes_late_and_goes_is_waited_for() {
    let base = Base::postgres().await;
    let name = base.name().to_owned();
    let late = format!("{name}_late");
    let mut config = base.config();
    config.url = DatabaseUrl::Postgres(Secret::new(url_of(&late)));
    let running = Running::start(&config, seed());
    running
        .until(|store| matches!(store.health(), StoreHealth::Disconnected(reason) if reason.contains("does not exist")))
        .await;
    let began = std::time::Instant::now();
    assert!(matches!(
        running.store.grants().await,
        Err(StoreError::Down(_))
    ));
    assert!(began.elapsed() < Duration::from_millis(500));

    admin(&format!("CREATE DATABASE {late}")).await;
    running
        .until(|store| store.health() == StoreHealth::Connected)
        .await;
    assert_eq!(running.store.grants().await.unwrap().len(), 2);
    assert!(
        running
            .store
            .member("root@example.com")
            .await
            .unwrap()
            .is_admin
    );
    let before = running.store.version();

    admin(&format!("DROP DATABASE {late} WITH (FORCE)")).await;
    running
        .until(|store| store.health() != StoreHealth::Connected)
        .await;
    assert!(matches!(
        running.store.grants().await,
        Err(StoreError::Down(_))
    ));
    admin(&format!("CREATE DATABASE {late}")).await;
    running
        .until(|store| store.health() == StoreHealth::Connected)
        .await;
    assert!(running.store.version() > before);
    // An empty database is seeded again.
    assert_eq!(running.store.grants().await.unwrap().len(), 2);
    running.end().await;
    admin(&format!("DROP DATABASE {late} WITH (FORCE)")).await;
}

#[tokio::test]
async fn a_folder_that_comes_late_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = DatabaseSettings {
        url: DatabaseUrl::Sqlite(folder.path().join("later/mcp-bridge.db")),
        ..Base::sqlite().config()
    };
    let running = Running::start(&config, seed());
    running
        .until(|store| matches!(store.health(), StoreHealth::Disconnected(reason) if reason.contains("cannot create")))
        .await;
    std::fs::create_dir(folder.path().join("later")).unwrap();
    running
        .until(|store| store.health() == StoreHealth::Connected)
        .await;
    assert_eq!(running.store.grants().await.unwrap().len(), 2);
    running.end().await;
}

/// A proxy to PostgreSQL that can fall silent: it drops all bytes but closes no connection.
async fn silent_road(name: &str) -> (String, Arc<std::sync::atomic::AtomicBool>) {
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn carry(
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
        is_silent: Arc<AtomicBool>,
    ) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if !is_silent.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }

    let mut url = url::Url::parse(&url_of(name)).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port()))
        .unwrap();
    let is_silent = Arc::new(AtomicBool::new(false));
    let silence = Arc::clone(&is_silent);
    let tracker = tokio_util::task::TaskTracker::new();
    let roads = tracker.clone();
    tracker.spawn(async move {
        while let Ok((ours, _)) = listener.accept().await {
            let theirs = tokio::net::TcpStream::connect(&server).await.unwrap();
            let ((a, b), (c, d)) = (ours.into_split(), theirs.into_split());
            roads.spawn(carry(a, d, Arc::clone(&silence)));
            roads.spawn(carry(c, b, Arc::clone(&silence)));
        }
    });
    (url.to_string(), is_silent)
}

#[tokio::test]
async fn a_silent_cut_is_noticed_and_no_call_hangs() {
    let base = Base::postgres().await;
    let name = base.name().to_owned();
    let (road, is_silent) = silent_road(&name).await;
    let mut config = base.config();
    config.url = DatabaseUrl::Postgres(Secret::new(road));
    config.timeout = Duration::from_millis(500);
    let running = Running::connected(&config).await;
    running.store.grants().await.unwrap();
    let before = running.store.version();

    is_silent.store(true, std::sync::atomic::Ordering::Relaxed);
    let began = std::time::Instant::now();
    assert!(matches!(
        running.store.grants().await,
        Err(StoreError::Down(_))
    ));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    running
        .until(|store| store.health() != StoreHealth::Connected)
        .await;
    let began = std::time::Instant::now();
    assert!(matches!(
        running.store.grants().await,
        Err(StoreError::Down(_))
    ));
    assert!(began.elapsed() < Duration::from_millis(100));

    is_silent.store(false, std::sync::atomic::Ordering::Relaxed);
    running
        .until(|store| store.health() == StoreHealth::Connected)
        .await;
    assert!(running.store.version() > before);
    running.until_answered().await;
    running.end().await;
}

impl Running {
    /// Silent connections are dropped one by one.
    async fn until_answered(&self) {
        tokio::time::timeout(Duration::from_secs(15), async {
            while self.store.grants().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_stuck_statement_ends_with_the_timeout() {
    let base = Base::postgres().await;
    let store = base.store().await;
    let mut config = base.config();
    config.timeout = Duration::from_millis(300);
    let hasty = Store::open(&config).unwrap();
    hasty.migrate().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.execute(
        "LOCK TABLE group_tenant_mapping IN ACCESS EXCLUSIVE MODE",
        &[],
    )
    .await
    .unwrap();
    let began = std::time::Instant::now();
    let refused = hasty.grants().await;
    assert!(matches!(refused, Err(StoreError::Down(_))), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    tx.commit().await.unwrap();
    hasty.grants().await.unwrap();
}

#[tokio::test]
async fn a_locked_file_is_down_and_free_again() {
    let base = Base::sqlite();
    let store = base.store().await;
    let mut config = base.config();
    config.timeout = Duration::from_millis(200);
    let hasty = Store::open(&config).unwrap();
    hasty.migrate().await.unwrap();
    let tx = store.begin().await.unwrap();
    for _ in 0..3 {
        let refused = hasty.add_member(&actor(), "a@b", "devs").await;
        assert!(matches!(refused, Err(StoreError::Down(_))), "{refused:?}");
        // Readers do not wait for the writer.
        hasty.grants().await.unwrap();
    }
    drop(tx);
    tokio::time::timeout(Duration::from_secs(5), async {
        while hasty.add_member(&actor(), "a@b", "devs").await.is_err() {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn rows_written_by_hand_that_cannot_be_read_count_for_nothing() {
    for base in Base::both().await {
        let store = base.store().await;
        let (schema, bytes) = if base.is_sqlite() {
            ("", "x'00'")
        } else {
            ("mcp_proxy.", "'\\x00'")
        };
        base.execute(&format!(
            "INSERT INTO {schema}bridge_grant VALUES ('1', 'default', 'devs', 'x', 'now', FALSE, 0);
             INSERT INTO {schema}bridge_key VALUES ('default', 'bad', {bytes}, '[]', FALSE, NULL, 0);"
        ))
        .await;
        store
            .grant(&actor(), &grant("devs", "x", &["y"]))
            .await
            .unwrap();
        assert_eq!(store.grants().await.unwrap().len(), 1);
        assert_eq!(store.keys().await.unwrap(), []);
    }
}
