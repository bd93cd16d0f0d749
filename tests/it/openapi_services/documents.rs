//! Documents in YAML and of Swagger 2.0, bodies that are no JSON, what is left out, and pages.

use serde_json::{Value, json};

use super::{call, service, setup, stored, tools, warnings};
use crate::harness::Bridge;

/// The body of a multipart request with its boundary made plain.
fn parts(seen: &Value) -> String {
    let kind = seen["type"].as_str().unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = seen["body"].as_str().unwrap();
    body.replace(boundary, "B").replace("\r\n", "\n")
}

#[tokio::test]
async fn a_swagger_document_in_yaml_is_read() {
    let port = service("text/plain", stored("petstore.yaml")).await;
    let bridge = setup(port, "").ready().await;
    let names = [
        "pet",
        "pet_put",
        "pet_findByTags",
        "pet_petId",
        "pet_petId_get",
        "pet_petId_delete",
        "pet_petId_uploadImage",
    ];
    assert_eq!(tools(&bridge).await, names);
    let left_out = "`POST /import`: left out: a body of `multipart/mixed` cannot be written";
    assert_eq!(warnings(&bridge).await, json!([left_out]));
    let listed = bridge.get("/servers").await.json();
    assert!(listed.to_string().contains("multipart/mixed"), "{listed}");
    let document = bridge.get("/openapi.json").await.text;
    assert!(
        document.contains(r#"["available","on","off",null]"#),
        "{document}"
    );

    let pet = json!({ "name": "Rex", "status": "on", "parent": { "name": "Max" } });
    let seen = call(&bridge, "addPet", pet.clone()).await;
    assert_eq!(
        (&seen["line"], &seen["type"]),
        (&json!("POST /v2/pet"), &json!("application/json"))
    );
    let body: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
    assert_eq!(body, pet);
    let refused = bridge
        .post("/api/pet", r#"{"name": "Rex", "status": "yes"}"#)
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text);

    let tags = json!({ "tags": ["a", "b"], "ids": [1, 2], "many": ["x", "y"], "limit": 7 });
    let seen = call(&bridge, "pet_findByTags", tags).await;
    let line = "GET /v2/pet/findByTags?tags=a%7Cb&ids=1%2C2&many=x&many=y&limit=7";
    assert_eq!(seen["line"], line);

    let form = json!({ "petId": 1, "name": "Rex & Max", "tags": ["a", "b"] });
    let seen = call(&bridge, "pet_petId", form).await;
    assert_eq!(seen["line"], "POST /v2/pet/1");
    assert_eq!(seen["type"], "application/x-www-form-urlencoded");
    assert_eq!(seen["body"], "name=Rex+%26+Max&tags=a%2Cb");

    let upload = json!({ "petId": 1, "file": "aGk=", "file_filename": "hi.txt" });
    let seen = call(&bridge, "uploadFile", upload).await;
    let expected = "--B\nContent-Disposition: form-data; name=\"file\"; filename=\"hi.txt\"\n\
        Content-Type: application/octet-stream\n\nhi\n--B--\n";
    assert_eq!(parts(&seen), expected);
    let bad = bridge
        .post(
            "/api/uploadFile",
            r#"{"petId": 1, "file": "so not base64"}"#,
        )
        .await;
    assert_eq!(bad.status, 422, "{}", bad.text);
    assert!(
        bad.text.contains("`file` is not valid base64"),
        "{}",
        bad.text
    );
    let empty = bridge.post("/api/uploadFile", r#"{"petId": 1}"#).await;
    assert_eq!(empty.status, 422, "{}", empty.text);
}

#[tokio::test]
async fn files_of_fastapi_are_sent_as_files() {
    let port = service("application/json", stored("fastapi.json")).await;
    let bridge = setup(port, "").ready().await;
    let upload =
        json!({ "file": "data:image/png;base64,aGk=", "note": "n", "more": ["YQ==", "Yg"] });
    let seen = call(&bridge, "upload", upload).await;
    let sent = |name: &str, kind: &str, text: &str| {
        format!(
            "--B\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\nContent-Type: {kind}\n\n{text}\n"
        )
    };
    let octets = "application/octet-stream";
    let expected = [
        sent("file", "image/png", "hi"),
        "--B\nContent-Disposition: form-data; name=\"note\"\n\nn\n".to_owned(),
        sent("more", octets, "a"),
        sent("more", octets, "b"),
        "--B--\n".to_owned(),
    ];
    assert_eq!(parts(&seen), expected.concat());
    let login = json!({ "user": "u", "roles": ["a", "b"] });
    assert_eq!(
        call(&bridge, "login", login).await["body"],
        "user=u&roles=a&roles=b"
    );
}

#[tokio::test]
async fn a_page_is_shown_where_the_operator_says_so() {
    let port = service("application/json", stored("fastapi.json")).await;
    let as_text = setup(port, "").ready().await;
    let answer = as_text.post("/api/page", "{}").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#""<h1>Hello</h1>""#)
    );
    let as_page = setup(port, "embed_html = true").ready().await;
    let answer = as_page.post("/api/page", "{}").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, "<h1>Hello</h1>")
    );
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("content-disposition"), "inline");
}

/// The reason why `api` is not up.
async fn reason(bridge: &Bridge) -> String {
    let server = bridge.server("api").await;
    server["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_bomb_of_aliases_costs_little() {
    let level = |level: usize| {
        let nine = [format!("*x{}", level - 1).as_str(); 9].join(", ");
        format!("x{level}: &x{level} [{nine}]\n")
    };
    let levels: Vec<String> = (1..=9).map(level).collect();
    let bomb = format!(
        "openapi: 3.1.0\nx0: &x0 [lol]\n{}paths: {{/a: {{get: {{}}}}}}\n",
        levels.concat()
    );
    let port = service("application/yaml", bomb).await;
    let begun = std::time::Instant::now();
    let bridge = setup(port, "").ready().await;
    let reason = reason(&bridge).await;
    assert!(reason.contains("its OpenAPI document is "), "{reason}");
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    let resident = format!("/proc/{}/status", bridge.child.id().unwrap());
    let status = std::fs::read_to_string(resident).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 400_000, "{peak} KiB");
}

#[tokio::test]
async fn what_is_left_out_is_told_in_a_bounded_number_of_lines() {
    let item = json!({ "post": { "requestBody": { "required": true, "content": { "multipart/mixed": {} } } } });
    let paths: serde_json::Map<_, _> = (0..300)
        .map(|it| (format!("/p{it}"), item.clone()))
        .collect();
    let document = json!({ "openapi": "3.1.0", "info": {}, "paths": paths });
    let port = service("application/json", document.to_string()).await;
    let bridge = setup(port, "").ready().await;
    let warnings = warnings(&bridge).await;
    let lines = warnings.as_array().unwrap();
    assert_eq!(lines.len(), 51, "{warnings}");
    assert_eq!(lines[50], "250 more operations have such flaws");
    assert!(bridge.log().contains("POST /p0"), "{}", bridge.log());
}
