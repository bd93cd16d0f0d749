//! Paths that mean to be another one.

use super::{ADMIN, DEV, GATEWAY, HI, bearer, bridge, call, seen};

/// Paths that mean to be another one, below the bridges `one` and `two`.
const TRICKS: &[&str] = &[
    "//two/echo",
    "///two/echo",
    "/two//echo",
    "//two//echo",
    "/./two/echo",
    "/two/./echo",
    "/one/../two/echo",
    "/one/..//two/echo",
    "/one/%2e%2e/two/echo",
    "/one/%2E%2E/two/echo",
    "/one/.%2e/two/echo",
    "/one/..%2ftwo/echo",
    "/one/..%2Ftwo%2Fecho",
    "/one%2f..%2ftwo/echo",
    "/one/%2e%2e%2ftwo%2fecho",
    "/one/..;/two/echo",
    "/one;/../two/echo",
    "/two;x=1/echo",
    "/one/..\\two\\echo",
    "/one/..%5ctwo%5cecho",
    "/two%2fecho",
    "/two%2Fecho",
    "/%2ftwo/echo",
    "/%74wo/echo",
    "/tw%6f/echo",
    "/two/%65cho",
    "/two/ech%6f",
    "/%2574wo/echo",
    "/two%252fecho",
    "/TWO/echo",
    "/Two/echo",
    "/two/ECHO",
    "/two./echo",
    "/two../echo",
    "/two%20/echo",
    "/%20two/echo",
    "/two%09/echo",
    "/two%00/echo",
    "/%00two/echo",
    "/two/echo%00",
    "/two/%00echo",
    "/two/echo.",
    "/two/echo%20",
    "/two/echo/",
    "/two/echo//",
    "/two/echo;x",
    "/two/echo/.",
    "/two/echo/..",
    "/two/echo%2f",
    "/two/echo?x",
    "/two/echo%3fx",
    "/two/echo%23x",
    "/one%c0%af..%c0%aftwo/echo",
    "/one/%c0%ae%c0%ae/two/echo",
    "/two%c0%80/echo",
    "/two/ech%c1%af",
    "/two/%ff",
    "/two/%e0%80%af",
    "/two%ef%bc%8fecho",
    "/%ef%bd%94wo/echo",
    "/two\u{2215}echo",
    "/two_echo",
    "//two_echo",
    "/TWO_ECHO",
    "/two_echo/",
    "/two%5fecho",
    "/two_%65cho",
    "/two_echo%00",
    "/two_echo%20",
    "/two_echo.",
    "/one/../two_echo",
    "/one/%2e%2e/two_echo",
    "/one_/../two_echo",
    "/one/two_echo",
    "/one/two/echo",
    "/one_two_echo",
    "/one/echo/../../two/echo",
    "/..",
    "/../two/echo",
    "/%2e%2e/two/echo",
    "/./.././two/echo",
    "/one/echo/..%2f..%2ftwo/echo",
    "/.%00./two/echo",
    "/docs/../two/echo",
    "/health/../two/echo",
    "/admin/../two/echo",
    "/openapi.json/../two/echo",
    "/refresh/../two/echo",
    "/two/echo%0d%0ax-user-email:%20root@example.org",
    "http://localhost/two/echo",
    "http://two/echo",
    "//localhost/two/echo",
    "two/echo",
    "*",
    "/two/%",
    "/two/%2",
    "/two/%zz",
];

#[tokio::test]
async fn no_path_leads_where_the_plain_one_does_not() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    let plain = bridge.as_bearer(DEV).call("two/echo", HI).await;
    plain.assert_error(403, "forbidden");
    let key = |key: &str| format!("authorization: Bearer {key}\r\n");
    let mut wrong = Vec::new();
    for path in TRICKS {
        let methods = ["POST", "GET", "PUT", "HEAD", "PATCH"];
        let senders = [key(DEV), String::new()];
        let all = methods
            .iter()
            .flat_map(|it| senders.iter().map(move |by| (it, by)));
        for (method, headers) in all {
            let (status, text) = bridge.line(&format!("{method} {path}"), headers, HI).await;
            if !(400..500).contains(&status) {
                wrong.push(format!("{method} {path} by {headers:?}: {text}"));
            }
        }
        let admin_path = format!("/admin/api/users{path}");
        let (status, text) = bridge
            .line(&format!("GET {admin_path}"), &key(DEV), "")
            .await;
        if !(400..500).contains(&status) {
            wrong.push(format!("GET {admin_path}: {text}"));
        }
    }
    for path in [
        "//admin/api/users",
        "/admin//api/users",
        "/admin/api//users",
        "/ADMIN/api/users",
        "/admin/api/users/",
        "/admin/api/./users",
        "/one/../admin/api/users",
        "/one/%2e%2e/admin/api/users",
        "/admin%2fapi%2fusers",
        "/admin/api/users%00",
        "/admin/api/users%20",
        "/admin/api/users.",
        "/admin/api/%75sers",
        "/%61dmin/api/users",
        "/docs/../admin/api/users",
        "/admin/api;x/users",
        "/admin\\api\\users",
    ] {
        for method in ["GET", "POST"] {
            let (status, text) = bridge
                .line(&format!("{method} {path}"), &key(DEV), "")
                .await;
            if !(400..500).contains(&status) {
                wrong.push(format!("{method} {path}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen(&bridge), 0);
    // Whoever may use both: what begins with one bridge never reaches the other.
    for path in TRICKS.iter().filter(|it| it.starts_with("/one")) {
        bridge.line(&format!("POST {path}"), &key(ADMIN), HI).await;
    }
    assert_eq!(bridge.calls("two.jsonl").len(), 0);
    // Bytes that are no path at all.
    for line in [
        "POST /two\0/echo",
        "POST /two/echo\t",
        "POST /two\u{7f}/echo",
        "POST  /two/echo",
        "POST /tw\u{e4}o/echo",
    ] {
        let (status, text) = bridge.line(line, &key(DEV), HI).await;
        assert!((400..500).contains(&status), "{line:?}: {text}");
    }
    assert_eq!(seen(&bridge), 0);
    assert_eq!(call(&bridge, &bearer(DEV)).await.status, 200);
    assert!(!bridge.log().contains("panicked"), "{}", bridge.log());
}
