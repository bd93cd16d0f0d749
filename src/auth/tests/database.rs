//! Users in Open WebUI's own tables, with real databases: reachable, unreachable and slow.

use std::time::Instant;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    config::{self, DatabaseUrl, GatewaySettings, IssuerSettings},
    redis::RedisClient,
    store::{
        Store, StoreError, UserDirectory,
        testing::{self, Base, Generation},
    },
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Open WebUI with all its methods of authentication, a forwarder, a gateway at 10.0.0.1, and its
/// database.
fn identity(ttl: Duration) -> IdentitySettings {
    let name = HeaderName::from_static;
    IdentitySettings {
        keys: vec![key("chat", "chat-key", true)],
        open_webui: OpenWebUiSettings {
            jwt_secret: Some(Secret::new(JWT_SECRET)),
            jwt_alone: true,
            cache_ttl: ttl,
            ..open_webui()
        },
        gateway: Some(GatewaySettings {
            trusted_peers: vec!["10.0.0.1/32".parse().unwrap()],
            secret: None,
            secret_header: name("x-gateway-secret"),
            email_header: name("x-user-email"),
            groups_header: name("x-user-groups"),
            admin_header: name("x-user-admin"),
            workspace_header: name("x-tenant-id"),
            strips_headers: true,
            ignore_credentials: false,
        }),
        oidc: Vec::<IssuerSettings>::new(),
        ..IdentitySettings::default()
    }
}

fn looking(url: &DatabaseUrl, timeout: Duration, ttl: Duration) -> Authenticator {
    let directory = UserDirectory::open(url, timeout).unwrap();
    let sources = AuthSources {
        directory: Some(Arc::new(directory)),
        ..sources()
    };
    proofs(identity(ttl), sources)
}

fn session(user: &str) -> String {
    let claims = json!({
        "id": format!("u-{user}"), "session_stamp": format!("stamp-{user}"), "typ": "session",
        "exp": at(60), "iat": at(0), "jti": format!("jti-{user}"),
    });
    bearer(&hs256(SECRET, &claims))
}

fn header_of(user: &str, email: Option<&str>, role: &str) -> String {
    let claims = json!({
        "sub": format!("u-{user}"), "email": email, "role": role, "iss": "open-webui",
        "iat": at(0), "exp": at(300),
    });
    hs256(JWT_SECRET, &claims)
}

async fn verdict(
    proofs: &Authenticator,
    authorization: &str,
) -> Result<Arc<Caller>, AuthenticationError> {
    ask(proofs, &[("authorization", authorization)], None).await
}

fn open_webui_groups(caller: &Caller) -> Vec<&str> {
    let all = caller.open_webui_groups.iter();
    all.map(AsRef::as_ref).collect()
}

#[tokio::test]
async fn sessions_and_keys_are_looked_up() {
    for base in Base::both().await {
        testing::open_webui(&base.url, Generation::Nested).await;
        let proofs = looking(&base.url, TIMEOUT, Duration::from_secs(30));
        let alice = verdict(&proofs, &session("alice")).await.unwrap();
        assert_eq!(
            (&*alice.id, alice.proof, alice.is_admin),
            ("alice@example.com", AuthenticationMethod::Session, false)
        );
        assert_eq!(
            open_webui_groups(&alice),
            ["g-eng", "eng", "g-staff", "staff"]
        );
        assert_eq!(alice.groups, None);
        let again = verdict(&proofs, &session("alice")).await.unwrap();
        assert!(Arc::ptr_eq(&alice, &again), "from memory, as it is");
        assert!(verdict(&proofs, &session("root")).await.unwrap().is_admin);

        let stampless = bearer(&hs256(SECRET, &json!({"id": "u-alice"})));
        let key = |name: &str| bearer(&format!("sk-{name}"));
        let unsigned = bearer(&hs256("other", &json!({"id": "u-alice"})));
        let table = [
            (session("carol"), AuthenticationError::Pending),
            (session("dave"), AuthenticationError::SignedOut),
            (session("unknown"), AuthenticationError::SignedOut),
            (stampless, AuthenticationError::SignedOut),
            (unsigned, AuthenticationError::Token),
            (key("carol"), AuthenticationError::Pending),
            (key("dave"), AuthenticationError::SignedOut),
            (key("unknown"), AuthenticationError::Key),
            (bearer("other"), AuthenticationError::Key),
        ];
        for (sent, refusal) in table {
            assert_eq!(
                verdict(&proofs, &sent).await.unwrap_err(),
                refusal,
                "{sent}"
            );
        }
        let alice = verdict(&proofs, &key("alice")).await.unwrap();
        assert_eq!(
            (&*alice.id, alice.proof),
            ("alice@example.com", AuthenticationMethod::SessionKey)
        );
    }
}

#[tokio::test]
async fn older_releases_have_neither_stamps_nor_nested_groups() {
    let base = Base::sqlite();
    testing::open_webui(&base.url, Generation::UserIds).await;
    let proofs = looking(&base.url, TIMEOUT, Duration::from_secs(30));
    let old = bearer(&hs256(SECRET, &json!({"id": "u-alice"})));
    let alice = verdict(&proofs, &old).await.unwrap();
    assert_eq!(open_webui_groups(&alice), ["g-eng", "eng"]);
}

#[tokio::test]
async fn a_change_counts_when_what_was_read_is_forgotten() {
    let base = Base::sqlite();
    testing::open_webui(&base.url, Generation::Nested).await;
    let proofs = looking(&base.url, TIMEOUT, Duration::ZERO);
    verdict(&proofs, &session("alice")).await.unwrap();
    base.execute("UPDATE \"user\" SET role = 'admin' WHERE id = 'u-alice'")
        .await;
    assert!(verdict(&proofs, &session("alice")).await.unwrap().is_admin);
    base.execute("UPDATE auth SET session_stamp = 'new' WHERE id = 'u-alice'")
        .await;
    let refusal = verdict(&proofs, &session("alice")).await.unwrap_err();
    assert_eq!(
        refusal,
        AuthenticationError::SignedOut,
        "a new password ends all sessions"
    );
    base.execute("DELETE FROM \"user\" WHERE id = 'u-bob'")
        .await;
    assert_eq!(
        verdict(&proofs, &session("bob")).await.unwrap_err(),
        AuthenticationError::SignedOut
    );
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn headers_are_completed_by_what_the_database_knows() {
    for base in Base::both().await {
        testing::open_webui(&base.url, Generation::Nested).await;
        let proofs = looking(&base.url, TIMEOUT, Duration::from_secs(30));
        let jwt = |token: String| ("x-openwebui-user-jwt", token);
        let key = ("authorization", "Bearer chat-key".to_owned());
        let email = |value: &str| ("x-user-email", value.to_owned());
        let alice = ["g-eng", "eng", "g-staff", "staff"];
        let peer = Some("10.0.0.1");
        let signed = |user, email, role| jwt(header_of(user, email, role));
        let table = [
            (
                None,
                vec![signed("alice", None, "user")],
                Ok(("alice@example.com", &alice[..])),
            ),
            (
                None,
                vec![key.clone(), email("ALICE@example.com")],
                Ok(("alice@example.com", &alice)),
            ),
            (
                peer,
                vec![email("alice@EXAMPLE.com")],
                Ok(("alice@example.com", &alice)),
            ),
            (
                peer,
                vec![email("carol@example.com")],
                Ok(("carol@example.com", &[])),
            ),
            (
                peer,
                vec![email("guest@example.com")],
                Ok(("guest@example.com", &[])),
            ),
            (
                None,
                vec![key.clone(), email("guest@example.com")],
                Ok(("guest@example.com", &[])),
            ),
            (
                None,
                vec![key.clone(), email("carol@example.com")],
                Err(AuthenticationError::Pending),
            ),
            (
                None,
                vec![signed("carol", None, "user")],
                Err(AuthenticationError::Pending),
            ),
            (
                None,
                vec![signed("dave", None, "user")],
                Err(AuthenticationError::SignedOut),
            ),
            (
                None,
                vec![signed("alice", Some("bob@example.com"), "user")],
                Err(AuthenticationError::Contradiction),
            ),
            (
                None,
                vec![
                    ("authorization", session("alice")),
                    signed("bob", None, "user"),
                ],
                Err(AuthenticationError::Contradiction),
            ),
            (
                None,
                vec![
                    ("authorization", session("alice")),
                    signed("alice", None, "user"),
                ],
                Ok(("alice@example.com", &alice)),
            ),
            (
                peer,
                vec![
                    ("authorization", session("alice")),
                    email("bob@example.com"),
                ],
                Err(AuthenticationError::Contradiction),
            ),
        ];
        for (peer, sent, expected) in table {
            let sent: Vec<_> = sent
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let found = ask(&proofs, &sent, peer).await;
            let seen = found.as_ref().map(|it| (&*it.id, open_webui_groups(it)));
            let seen = seen.map_err(Clone::clone);
            let expected = expected.map(|(id, groups)| (id, groups.to_vec()));
            assert_eq!(seen, expected, "{sent:?}");
        }
        // A user who is no longer an administrator loses the rights, whatever was signed before.
        let token = header_of("alice", None, "admin");
        let caller = ask(&proofs, &[("x-openwebui-user-jwt", &token)], None)
            .await
            .unwrap();
        assert!(!caller.is_admin);
    }
}

#[tokio::test]
async fn a_signed_out_token_is_refused_while_redis_answers() {
    let base = Base::sqlite();
    testing::open_webui(&base.url, Generation::Nested).await;
    let prefix = format!("open-webui-{:016x}", rand::random::<u64>());
    let with = |url: &str| {
        let redis = config::RedisSettings {
            url: Secret::new(url),
            prefix: prefix.clone(),
        };
        let sources = AuthSources {
            directory: Some(Arc::new(UserDirectory::open(&base.url, TIMEOUT).unwrap())),
            redis: Some(Arc::new(RedisClient::open(&redis).unwrap())),
            ..sources()
        };
        proofs(identity(Duration::ZERO), sources)
    };
    let proofs = with(&redis_url());
    verdict(&proofs, &session("alice")).await.unwrap();
    tell_redis(&format!(
        "SET {prefix}:auth:token:jti-alice:revoked 1 EX 60"
    ))
    .await;
    assert_eq!(
        verdict(&proofs, &session("alice")).await.unwrap_err(),
        AuthenticationError::SignedOut
    );
    verdict(&proofs, &session("bob")).await.unwrap();
    // No server listens on this port.
    verdict(&with("redis://127.0.0.1:1/"), &session("alice"))
        .await
        .unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test script sets the address of Redis"
)]
fn redis_url() -> String {
    std::env::var("TEST_REDIS_URL").expect(
        "TEST_REDIS_URL is not set: run ./scripts/test, or eval \"$(./scripts/databases start DIR)\"",
    )
}

/// Runs one inline command.
async fn tell_redis(command: &str) {
    let url = url::Url::parse(&redis_url()).unwrap();
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(6379));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}

/// A proxy to PostgreSQL that can be closed.
struct Way {
    address: SocketAddr,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Way {
    /// Opens the proxy at an address. With `None` as the target, clients wait forever.
    async fn open(address: &str, target: Option<String>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let way = Self {
            address: listener.local_addr().unwrap(),
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let (stop, tracker) = (way.stop.clone(), way.tracker.clone());
        way.tracker.spawn(async move {
            while let Some(Ok((inner, _))) = stop.run_until_cancelled(listener.accept()).await {
                tracker.spawn(lead(inner, target.clone(), stop.clone()));
            }
        });
        way
    }

    async fn close(self) -> SocketAddr {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.address
    }
}

/// Forwards one connection to the target until the proxy is closed.
async fn lead(mut inner: TcpStream, target: Option<String>, stop: CancellationToken) {
    let Some(target) = target else {
        return stop.cancelled().await;
    };
    let mut outer = TcpStream::connect(target).await.unwrap();
    let copying = copy_bidirectional(&mut inner, &mut outer);
    drop(stop.run_until_cancelled(copying).await);
}

/// The URL of a PostgreSQL database behind a proxy, and its location in messages.
fn at_end(base: &Base, way: SocketAddr) -> (DatabaseUrl, String) {
    let DatabaseUrl::Postgres(url) = &base.url else {
        panic!("PostgreSQL")
    };
    let mut url = url::Url::parse(url.expose()).unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    url.set_host(Some(&way.ip().to_string())).unwrap();
    url.set_port(Some(way.port())).unwrap();
    (DatabaseUrl::Postgres(Secret::new(url.as_str())), target)
}

#[tokio::test]
async fn a_database_that_is_away_is_told_and_comes_back() {
    let base = Base::postgres().await;
    testing::open_webui(&base.url, Generation::Nested).await;
    let (_, target) = at_end(&base, ([127, 0, 0, 1], 1).into());
    let way = Way::open("127.0.0.1:0", Some(target.clone())).await;
    let (url, _) = at_end(&base, way.address);
    let proofs = looking(&url, TIMEOUT, Duration::from_secs(30));
    // Many concurrent requests.
    let alice = session("alice");
    let all = (0..100).map(|_| verdict(&proofs, &alice));
    for found in futures::future::join_all(all).await {
        found.unwrap();
    }
    let address = way.close().await;
    verdict(&proofs, &alice).await.expect("from memory");
    for sent in [session("bob"), bearer("sk-bob")] {
        let refusal = verdict(&proofs, &sent).await.unwrap_err();
        assert!(
            matches!(&refusal, AuthenticationError::Store(StoreError::Down(_))),
            "{refusal:?}"
        );
        assert_eq!(refusal.code().as_str(), "store_unavailable");
    }
    // A key needs no database, and a forged token is refused without a query.
    let forged = bearer(&hs256("other", &json!({"id": "u-bob"})));
    assert_eq!(
        verdict(&proofs, &forged).await.unwrap_err(),
        AuthenticationError::Token
    );
    assert_eq!(
        &*verdict(&proofs, "Bearer chat-key").await.unwrap().id,
        "chat"
    );

    let _way = Way::open(&address.to_string(), Some(target)).await;
    let bob = session("bob");
    let back = async {
        while verdict(&proofs, &bob).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back)
        .await
        .expect("it comes back");
}

#[tokio::test]
async fn a_slow_store_keeps_callers_waiting_only_briefly() {
    let base = Base::postgres().await;
    let way = Way::open("127.0.0.1:0", None).await;
    let (url, _) = at_end(&base, way.address);
    let database = config::DatabaseSettings {
        url,
        timeout: Duration::from_millis(300),
        ..base.config()
    };
    let sources = AuthSources {
        store: Some(Arc::new(Store::open(&database).unwrap())),
        ..sources()
    };
    let proofs = proofs(IdentitySettings::default(), sources);
    let start = Instant::now();
    let all = (0..200).map(|_| verdict(&proofs, "Bearer stored"));
    for found in futures::future::join_all(all).await {
        assert!(
            matches!(found, Err(AuthenticationError::Store(_))),
            "{found:?}"
        );
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_slow_database_keeps_callers_waiting_only_briefly() {
    let base = Base::postgres().await;
    let way = Way::open("127.0.0.1:0", None).await;
    let (url, _) = at_end(&base, way.address);
    let proofs = looking(&url, Duration::from_millis(300), Duration::from_secs(30));
    let start = Instant::now();
    let sent: Vec<_> = (0..200).map(|n| session(&format!("user{n}"))).collect();
    let all = sent.iter().map(|sent| verdict(&proofs, sent));
    for found in futures::future::join_all(all).await {
        assert!(
            matches!(found, Err(AuthenticationError::Store(StoreError::Down(_)))),
            "{found:?}"
        );
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}
