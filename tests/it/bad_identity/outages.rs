//! Secrets that are blank, and whoever must be asked out of reach: nobody is let in by that.

use std::time::{Duration, Instant};

use jsonwebtoken::get_current_timestamp;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::{
    BRIDGES, DEV, GATEWAY, IDENTITY, SECRET, bearer, bridge, call, seen, setup, with_postgres,
};
use crate::harness::{Issuer, OpenWebUi, Postgres, Setup, User, free_port, token, until};

#[tokio::test]
async fn a_blank_secret_switches_off_and_an_empty_one_is_a_mistake() {
    for blank in ["", " \t "] {
        let setup = Setup::toml(&format!(
            "[database]\nopen_webui = '{{dir}}/webui.db'\n[identity.open_webui]\nsecret_key = '${{BAD_SECRET}}'\njwt_secret = '${{BAD_JWT_SECRET}}'\n[identity.keys.dev]\nkey = '${{BAD_DEV}}'\n[identity.keys.off]\nkey = '${{BAD_OFF}}'\n{BRIDGES}"
        ));
        OpenWebUi::in_sqlite(&setup.path().join("webui.db")).await;
        let bridge = setup
            .env("BAD_SECRET", blank)
            .env("BAD_JWT_SECRET", blank)
            .env("BAD_OFF", blank)
            .env("BAD_DEV", DEV)
            .ready()
            .await;
        let now = get_current_timestamp();
        let signed = json!({ "sub": "id-alice", "iss": "open-webui", "exp": now + 300 });
        for secret in [blank, "x"] {
            let signed = vec![("x-openwebui-user-jwt", token(secret, &signed))];
            for headers in [
                bearer(User::Alice.token(secret)),
                signed,
                bearer(blank),
                bearer(""),
            ] {
                let answer = call(&bridge, &headers).await;
                assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text);
            }
        }
        assert_eq!(seen(&bridge), 0);
    }
    for (section, name) in [
        (
            "[identity.open_webui]\nurl = 'http://localhost:1'\nsecret_key = ''",
            "secret_key",
        ),
        ("[identity.open_webui]\njwt_secret = ' '", "jwt_secret"),
        ("[identity.gateway]\nenabled = true\nsecret = ''", "secret"),
        ("[identity.keys.team]\nkey = ''", "key"),
    ] {
        let (code, log) = Setup::toml(&format!("{section}\n[bridges.one]\n{{bad good}}\n"))
            .output()
            .await;
        assert_eq!(code, 2, "{section}: {log}");
        assert!(
            log.contains("error: ") && log.contains(name),
            "{section}: {log}"
        );
        assert!(!log.contains("listening"), "{log}");
    }
}

#[tokio::test]
async fn a_database_that_goes_away_or_stands_still_lets_nobody_in() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let bridge = with_postgres(&database, "").ready().await;
    let alice = bearer(User::Alice.token(SECRET));
    assert_eq!(call(&bridge, &alice).await.status, 200);

    // Away in the middle of a call: the call was let in and ends well.
    let caller = bridge.caller(&alice);
    let slow = caller.call("one/slow", r#"{"seconds": 1}"#);
    let outage = async {
        until(async || seen(&bridge) == 2).await;
        database.shut_out().await;
    };
    let (answer, ()) = tokio::join!(slow, outage);
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Who was not asked for before is not guessed.
    let answer = call(&bridge, &bearer(User::Bob.token(SECRET))).await;
    answer.assert_error(503, "store_unavailable");
    assert!(!answer.header("retry-after").is_empty());
    until(async || call(&bridge, &alice).await.status == 503).await;
    database.let_in().await;
    until(async || call(&bridge, &alice).await.status == 200).await;

    // There, but somebody holds the tables.
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    let lock = "BEGIN; LOCK TABLE mcp_proxy.group_tenant_mapping, mcp_proxy.user_group_membership IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
    until(async || call(&bridge, &alice).await.status == 503).await;
    let before = seen(&bridge);
    let began = Instant::now();
    let both = bearer(User::Bob.token(SECRET));
    let (first, second) = tokio::join!(call(&bridge, &alice), call(&bridge, &both));
    for answer in [first, second] {
        answer.assert_error(503, "store_unavailable");
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(seen(&bridge), before);
    let began = Instant::now();
    assert_eq!(bridge.get("/health").await.status, 200);
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    holder.close().await.unwrap();
    until(async || call(&bridge, &alice).await.status == 200).await;
}

#[tokio::test]
async fn open_webui_out_of_reach_is_an_outage_and_no_permission() {
    let port = free_port();
    let text = format!("{IDENTITY}{BRIDGES}").replace(
        "jwt_secret = '${BAD_JWT_SECRET}'",
        &format!("url = 'http://127.0.0.1:{port}'"),
    );
    let bridge = setup(&text, "http://127.0.0.1:9/none").ready().await;
    let began = Instant::now();
    let answer = call(&bridge, &bearer(User::Alice.token(SECRET))).await;
    answer.assert_error(503, "identity_unavailable");
    assert!(!answer.header("retry-after").is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // What is forged is refused without asking.
    let answer = call(
        &bridge,
        &bearer(User::Alice.token("another secret, 01234567890")),
    )
    .await;
    assert_eq!(answer.status, 401);
    assert_eq!(seen(&bridge), 0);
    assert_eq!(
        call(&bridge, &bearer(DEV)).await.status,
        200,
        "keys need nobody"
    );
}

#[tokio::test]
async fn an_issuer_out_of_reach_counts_only_while_its_keys_are_known() {
    let mut issuer = Issuer::start().await;
    issuer.stop().await;
    let bridge = bridge(&issuer.url, GATEWAY).await;
    let claims = json!({ "sub": "s", "email": "x@example.org", "groups": ["staff"] });
    let good = bearer(issuer.token("the-bridge", claims.clone()));
    for _ in 0..3 {
        let answer = call(&bridge, &good).await;
        answer.assert_error(503, "identity_unavailable");
    }
    assert_eq!(seen(&bridge), 0);
    issuer.start_again().await;
    until(async || call(&bridge, &good).await.status == 200).await;
    issuer.stop().await;
    for _ in 0..3 {
        assert_eq!(call(&bridge, &good).await.status, 200, "the keys are known");
    }
    let before = seen(&bridge);
    let mut unknown = claims;
    unknown["iss"] = issuer.url.clone().into();
    unknown["aud"] = "the-bridge".into();
    unknown["exp"] = (get_current_timestamp() + 600).into();
    let answer = call(&bridge, &bearer(issuer.sign("two", &unknown))).await;
    assert!([401, 503].contains(&answer.status), "{}", answer.text);
    assert_eq!(seen(&bridge), before);
}
