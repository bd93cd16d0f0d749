//! API keys in the bridge's tables.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::store::{ChangeActor, KeyRow, Store, testing};

fn row(name: &str, text: &str) -> KeyRow {
    KeyRow {
        name: name.to_owned(),
        hash: Sha256::digest(text).into(),
        groups: vec!["bots".to_owned()],
        forwards: false,
        workspace: "default".to_owned(),
        expires_at: None,
    }
}

fn operator() -> ChangeActor {
    ChangeActor {
        id: "operator".to_owned(),
        proof: "operator".to_owned(),
        workspace: "*".to_owned(),
    }
}

fn storing(store: &Arc<Store>, anonymous: AnonymousAccess) -> Authenticator {
    let identity = IdentitySettings {
        anonymous,
        ..IdentitySettings::default()
    };
    let sources = AuthSources {
        store: Some(Arc::clone(store)),
        ..sources()
    };
    proofs(identity, sources)
}

fn with(text: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", bearer(text))]
}

async fn found(proofs: &Authenticator, text: &str) -> Result<Arc<Caller>, AuthenticationError> {
    let sent = with(text);
    let sent: Vec<_> = sent
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    ask(proofs, &sent, None).await
}

#[tokio::test]
async fn stored_keys_count_from_the_moment_they_are_stored_until_they_are_revoked() {
    for base in testing::Base::both().await {
        let store = Arc::new(base.store().await);
        let proofs = storing(&store, AnonymousAccess::Allowed);
        // While there is no key, the header is meant for another service.
        assert_eq!(
            found(&proofs, "one").await.unwrap().proof,
            AuthenticationMethod::Anonymous
        );

        let forwarder = KeyRow {
            forwards: true,
            ..row("chat", "two")
        };
        let old = KeyRow {
            expires_at: Some(at(-1)),
            ..row("old", "three")
        };
        let fresh = KeyRow {
            expires_at: Some(at(600)),
            ..row("fresh", "four")
        };
        for key in [row("ci", "one"), forwarder, old, fresh] {
            assert!(store.add_key(&operator(), &key).await.unwrap());
        }
        let caller = found(&proofs, "one").await.unwrap();
        assert_eq!(
            (&*caller.id, caller.proof, groups(&caller)),
            ("ci", AuthenticationMethod::ApiKey, vec!["bots"])
        );
        assert_eq!(&*found(&proofs, "four").await.unwrap().id, "fresh");
        assert_eq!(
            found(&proofs, "three").await.unwrap_err(),
            AuthenticationError::KeyExpired
        );
        assert_eq!(
            found(&proofs, "five").await.unwrap_err(),
            AuthenticationError::Key
        );
        let sent = [
            ("authorization", "Bearer two"),
            ("x-user-email", "ann@example.org"),
        ];
        let caller = ask(&proofs, &sent, None).await.unwrap();
        assert_eq!(
            (&*caller.id, caller.proof),
            ("ann@example.org", AuthenticationMethod::ForwardedHeaders)
        );

        assert!(store.revoke_key(&operator(), "ci").await.unwrap());
        assert_eq!(
            found(&proofs, "one").await.unwrap_err(),
            AuthenticationError::Key
        );
    }
}

#[tokio::test]
async fn without_the_store_configured_keys_work_and_others_are_told_to_wait() {
    let base = testing::Base::sqlite();
    // The store was opened, but its tables do not exist.
    let store = Arc::new(Store::open(&base.config()).unwrap());
    let identity = IdentitySettings {
        keys: vec![key("team", "own-key", false)],
        ..IdentitySettings::default()
    };
    let sources = AuthSources {
        store: Some(store),
        ..sources()
    };
    let proofs = proofs(identity, sources);
    assert_eq!(&*found(&proofs, "own-key").await.unwrap().id, "team");
    let refusal = found(&proofs, "other").await.unwrap_err();
    assert_eq!(
        (refusal.code().as_str(), refusal.is_outage()),
        ("store_unavailable", true)
    );
}
