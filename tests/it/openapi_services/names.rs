//! What the tools of a service are called, and what that decides.

use serde_json::{Value, json};

use super::{call, service, setup, stored, tools, warnings};
use crate::harness::Bridge;

/// A bridge to the service that FastAPI describes.
async fn fastapi(lines: &str) -> Bridge {
    let port = service("application/json", stored("fastapi.json")).await;
    setup(port, lines).ready().await
}

#[tokio::test]
async fn tools_are_called_after_paths_and_answer_to_their_generated_ids() {
    let bridge = fastapi("").await;
    let names = [
        "items_item_id",
        "items_item_id_put",
        "items_item_id_delete",
        "items",
        "items_patch",
        "upload",
        "login",
        "page",
        "raw",
    ];
    assert_eq!(tools(&bridge).await, names);
    assert_eq!(warnings(&bridge).await, json!([]));
    let document = bridge.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let of_api = paths.keys().filter(|path| path.starts_with("/api/"));
    assert_eq!(of_api.count(), names.len(), "each stands there once");

    let arguments = json!({ "item_id": "a b/c", "q": ["x", "y"], "color": "green" });
    let expected = "GET /items/a%20b%2Fc?q=x&q=y&color=green";
    for name in ["items_item_id", "read_item_items__item_id__get"] {
        let seen = call(&bridge, name, arguments.clone()).await;
        assert_eq!(
            (&seen["line"], &seen["body"]),
            (&json!(expected), &json!("")),
            "{name}"
        );
    }
    let wrong = bridge
        .post(
            "/api/read_item_items__item_id__get",
            r#"{"item_id": "a", "color": "blue"}"#,
        )
        .await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let missing = bridge.post("/api/read_item", "{}").await;
    assert_eq!(missing.status, 404, "{}", missing.text);
}

#[tokio::test]
async fn methods_and_places_of_parameters_are_kept() {
    let bridge = fastapi("").await;
    let put = json!({ "item_id": "1", "name": "n", "color": "red", "tags": ["t"] });
    let seen = call(&bridge, "items_item_id_put", put).await;
    let body: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
    assert_eq!(seen["line"], "PUT /items/1");
    assert_eq!(body, json!({ "name": "n", "color": "red", "tags": ["t"] }));
    let delete = json!({ "item_id": "1", "session": "s" });
    let seen = call(&bridge, "items_item_id_delete", delete).await;
    assert_eq!(
        (&seen["line"], &seen["cookie"]),
        (&json!("DELETE /items/1"), &json!("session=s"))
    );
    let patch = json!({ "body": [{ "name": "n" }] });
    let seen = call(&bridge, "items_patch", patch).await;
    assert_eq!(seen["line"], "PATCH /items/");
    let listed = bridge.cli(&["tools", "api", "--json"]).await.ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let reading = listed.as_array().unwrap().iter();
    let reading: Vec<_> = reading
        .filter(|it| it["read_only"] == true)
        .map(|it| &it["tool"])
        .collect();
    assert_eq!(reading, ["items_item_id", "page", "raw"]);
}

#[tokio::test]
async fn patterns_are_of_names_and_a_denied_id_denies_its_tool() {
    let bridge =
        fastapi("tools_allow = ['items*']\ntools_deny = ['delete_item_*', '*_patch']").await;
    assert_eq!(
        tools(&bridge).await,
        ["items_item_id", "items_item_id_put", "items"]
    );
    for hidden in [
        "items_item_id_delete",
        "delete_item_items__item_id__delete",
        "items_patch",
        "patch_items_items__patch",
        "upload_upload_post",
    ] {
        let answer = bridge
            .post(&format!("/api/{hidden}"), r#"{"item_id": "1"}"#)
            .await;
        assert_eq!(answer.status, 404, "{hidden}: {}", answer.text);
    }
    let seen = call(&bridge, "create_item_items__post", json!({ "name": "n" })).await;
    assert_eq!(seen["line"], "POST /items/");
}

#[tokio::test]
async fn names_of_the_operator_may_stand_for_an_id() {
    let lines = "rename = { look = 'read_item_items__item_id__get' }\naliases = { store = 'create_item_items__post' }";
    let bridge = fastapi(lines).await;
    assert_eq!(tools(&bridge).await[0], "look");
    assert_eq!(warnings(&bridge).await, json!([]));
    assert_eq!(
        call(&bridge, "look", json!({ "item_id": "1" })).await["line"],
        "GET /items/1?color=red"
    );
    assert_eq!(
        call(&bridge, "store", json!({ "name": "n" })).await["line"],
        "POST /items/"
    );
}

#[tokio::test]
async fn a_grant_is_of_the_tool_whatever_it_is_called_by() {
    let port = service("application/json", stored("fastapi.json")).await;
    let toml = format!(
        "[identity.gateway]\nenabled = true\ntrusted_peers = ['127.0.0.1']\n\
         [access.groups]\n\
         staff = [{{ bridge = 'api', tools = ['items_item_id'] }}]\n\
         ids = [{{ bridge = 'api', tools = ['read_item_*'] }}]\n\
         readers = [{{ bridge = 'api', read_only = true }}]\n\
         [bridges.api]\nurl = 'http://127.0.0.1:{port}/openapi'\ntransport = 'openapi'\n"
    );
    let bridge = crate::harness::Setup::toml(&toml).ready().await;
    let read = "read_item_items__item_id__get";
    let delete = "delete_item_items__item_id__delete";
    for (group, tool, status) in [
        ("staff", "items_item_id", 200),
        ("staff", read, 200),
        ("staff", delete, 403),
        ("staff", "items_item_id_delete", 403),
        // A pattern that fits the id alone grants nothing.
        ("ids", read, 403),
        ("ids", "items_item_id", 403),
        ("readers", read, 200),
        ("readers", delete, 403),
    ] {
        let headers = [
            ("x-user-email", "ann@example.com"),
            ("x-user-groups", group),
        ];
        let path = format!("/api/{tool}");
        let body = r#"{"item_id": "1"}"#;
        let answer = bridge
            .send(reqwest::Method::POST, &path, &headers, body)
            .await;
        assert_eq!(answer.status, status, "{group} {tool}: {}", answer.text);
    }
}
