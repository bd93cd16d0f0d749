//! API keys in our tables.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::store::{Actor, KeyRow, Store, testing};

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

fn operator() -> Actor {
    Actor {
        id: "operator".to_owned(),
        proof: "operator".to_owned(),
        workspace: "*".to_owned(),
    }
}

fn storing(store: &Arc<Store>, anonymous: Anonymous) -> Proofs {
    let identity = Identity {
        anonymous,
        ..Identity::default()
    };
    let sources = Sources {
        store: Some(Arc::clone(store)),
        ..sources()
    };
    proofs(identity, sources)
}

fn with(text: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", bearer(text))]
}

async fn found(proofs: &Proofs, text: &str) -> Result<Arc<Caller>, Refusal> {
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
        let proofs = storing(&store, Anonymous::Allowed);
        // While there is none, the header is for somebody else.
        assert_eq!(found(&proofs, "one").await.unwrap().proof, Proof::Anonymous);

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
            ("ci", Proof::ApiKey, vec!["bots"])
        );
        assert_eq!(&*found(&proofs, "four").await.unwrap().id, "fresh");
        assert_eq!(
            found(&proofs, "three").await.unwrap_err(),
            Refusal::KeyExpired
        );
        assert_eq!(found(&proofs, "five").await.unwrap_err(), Refusal::Key);
        let sent = [
            ("authorization", "Bearer two"),
            ("x-user-email", "ann@example.org"),
        ];
        let caller = ask(&proofs, &sent, None).await.unwrap();
        assert_eq!(
            (&*caller.id, caller.proof),
            ("ann@example.org", Proof::ForwardedHeaders)
        );

        assert!(store.revoke_key(&operator(), "ci").await.unwrap());
        assert_eq!(found(&proofs, "one").await.unwrap_err(), Refusal::Key);
    }
}

#[tokio::test]
async fn without_the_store_configured_keys_work_and_others_are_told_to_wait() {
    let base = testing::Base::sqlite();
    // It was opened, but nobody has made its tables.
    let store = Arc::new(Store::open(&base.config()).unwrap());
    let identity = Identity {
        keys: vec![key("team", "own-key", false)],
        ..Identity::default()
    };
    let sources = Sources {
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
