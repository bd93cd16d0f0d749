//! Where the key comes from, and when it is refused.

use std::fs;

use tempfile::TempDir;

use super::*;

const LONG: &str = "0123456789abcdef0123456789abcdef";

fn config(key: Option<&str>, file: &Path, is_sqlite: bool) -> DatabaseSettings {
    let mut database = DatabaseSettings::beside(Path::new("/nowhere"));
    if !is_sqlite {
        database.url = DatabaseUrl::Postgres(Secret::new("postgres://localhost/x"));
    }
    database.secret_key = key.map(Secret::new);
    file.clone_into(&mut database.secret_key_file);
    database
}

fn ring(key: Option<&str>, file: &Path, is_sqlite: bool) -> EncryptionKeys {
    EncryptionKeys::new(&config(key, file, is_sqlite))
}

fn ids(ring: &EncryptionKeys) -> Vec<String> {
    ring.to_open().unwrap().ids()
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_file_is_made_when_something_is_sealed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mcp-bridge.key");
    let first = ring(None, &path, true);
    assert_eq!(
        first.to_open().unwrap_err(),
        EncryptionKeyError::NoFile(path.clone()),
        "to open something makes no key"
    );
    assert!(!path.exists());

    let made = first.to_seal().unwrap().ids();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim().len(), 64);
    #[cfg(unix)]
    assert_eq!(mode(&path), 0o600);
    assert_eq!(ids(&ring(None, &path, true)), made);
    // An operator's key file is also used with PostgreSQL.
    assert_eq!(ids(&ring(None, &path, false)), made);
}

#[test]
fn many_that_make_it_at_once_have_the_same() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| ring(None, &path, true).to_seal().unwrap().ids()))
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|it| *it == ids[0]), "{ids:?}");
}

#[test]
fn no_replica_makes_a_key_of_its_own() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    let replica = ring(None, &path, false);
    for result in [replica.to_open(), replica.to_seal()] {
        let error = result.unwrap_err();
        assert_eq!(error, EncryptionKeyError::Unset);
        assert!(
            error
                .to_string()
                .contains("set BRIDGE_SECRET_KEY (openssl rand -hex 32)")
        );
    }
    assert!(!path.exists());
    // The file is found as soon as it exists.
    fs::write(&path, LONG).unwrap();
    replica.to_open().unwrap();
}

#[test]
fn the_variable_wins_over_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "f".repeat(64)).unwrap();
    let configured = ids(&ring(Some(LONG), &path, true));
    assert_ne!(configured, ids(&ring(None, &path, true)));
    assert_eq!(
        configured,
        ids(&ring(Some(LONG), &folder.path().join("none"), false))
    );
}

#[test]
fn what_can_be_guessed_is_no_key() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    let error = ring(Some("hunter2"), &path, true).to_seal().unwrap_err();
    assert!(matches!(
        &error,
        EncryptionKeyError::Short { length: 7, .. }
    ));
    assert!(
        error.to_string().contains("BRIDGE_SECRET_KEY") && !error.to_string().contains("hunter2")
    );

    fs::write(&path, "hunter2\n").unwrap();
    let error = ring(None, &path, true).to_seal().unwrap_err();
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "hunter2\n",
        "it is left as it was"
    );

    let old = EncryptionKeys::new(&DatabaseSettings {
        secret_keys_old: vec![Secret::new("x")],
        ..config(Some(LONG), &path, true)
    });
    assert!(matches!(
        old.to_open(),
        Err(EncryptionKeyError::Short { .. })
    ));
}

#[test]
fn an_empty_file_is_not_filled() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "\n").unwrap();
    let error = ring(None, &path, true).to_seal().unwrap_err();
    assert!(error.to_string().contains("is empty"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "\n");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_read_is_taken_from_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, LONG).unwrap();
    for open in [0o644, 0o640, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        ring(None, &path, false).to_open().unwrap();
        assert_eq!(mode(&path), 0o600, "{open:o}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_we_cannot_take_from_others_is_refused() {
    // No user, not even root, can change the mode of this file.
    let path = Path::new("/proc/self/status");
    let error = ring(None, path, false).to_open().unwrap_err();
    assert_eq!(error, EncryptionKeyError::Open(path.to_owned()));
}

#[test]
fn a_folder_in_its_place_is_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    fs::create_dir(&path).unwrap();
    #[cfg(unix)]
    let before = mode(&path);
    let error = ring(None, &path, true).to_seal().unwrap_err();
    assert!(matches!(error, EncryptionKeyError::File { .. }), "{error}");
    #[cfg(unix)]
    assert_eq!(mode(&path), before);
}
