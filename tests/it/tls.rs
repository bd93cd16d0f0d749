//! The TLS listener.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{PATIENCE, Setup, client};

const TOML: &str = "
[server]
tls_cert = 'cert.pem'
tls_key = 'key.pem'
[bridges.good]
{bad good}
";

/// A folder with the file and a fresh certificate for `localhost`, and the certificate.
fn setup() -> (Setup, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let setup = Setup::toml(TOML);
    setup.write("cert.pem", &made.cert.pem());
    setup.write("key.pem", &made.signing_key.serialize_pem());
    (setup, made.cert.pem())
}

#[tokio::test]
async fn calls_travel_over_tls() {
    let (setup, certificate) = setup();
    let port = setup.port();
    let bridge = setup.spawn();
    drop(client());
    let trusting = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{port}");
    let answers = async {
        loop {
            let call = trusting.post(format!("{url}/good/echo"));
            let answer = call.body(r#"{"message": "hi"}"#).send().await;
            if let Ok(answer) = answer
                && answer.status() == 200
            {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let text = timeout(PATIENCE, answers)
        .await
        .unwrap_or_else(|_| panic!("{}", bridge.log()));
    assert_eq!(text, r#""hi""#);
    assert!(
        bridge
            .log()
            .contains(&format!("listening on https://127.0.0.1:{port}"))
    );
    // Who does not trust it, or speaks plain HTTP, is sent away and harms nobody.
    assert!(client().get(format!("{url}/health")).send().await.is_err());
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain
        .write_all(b"GET /health HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let ended = timeout(PATIENCE, plain.read_to_end(&mut answer)).await;
    assert!(ended.is_ok());
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    let health = trusting.get(format!("{url}/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let probe = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
        .args(["healthcheck", "--listen", &format!("127.0.0.1:{port}")])
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .current_dir(bridge.dir.path())
        .output();
    let probe = probe.await.unwrap();
    assert!(probe.status.success(), "{probe:?}");
}

#[tokio::test]
async fn files_that_are_missing_or_broken_are_one_clear_line_and_exit_code_1() {
    let (good, _) = setup();
    let read = |name: &str| std::fs::read_to_string(good.path().join(name)).unwrap();
    let (cert, key) = (read("cert.pem"), read("key.pem"));
    let (other, _) = setup();
    let other = std::fs::read_to_string(other.path().join("key.pem")).unwrap();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        ("no certificate", None, Some(key.as_str())),
        ("no key", Some(cert.as_str()), None),
        ("empty", Some(""), Some("")),
        ("swapped", Some(key.as_str()), Some(cert.as_str())),
        ("garbage", Some(garbage), Some(key.as_str())),
        ("text", Some("hello"), Some("world")),
        ("another's key", Some(cert.as_str()), Some(other.as_str())),
    ];
    for (what, cert, key) in cases {
        let setup = Setup::toml(TOML);
        for (name, text) in [("cert.pem", cert), ("key.pem", key)] {
            if let Some(text) = text {
                setup.write(name, text);
            }
        }
        let (code, log) = setup.output().await;
        assert_eq!(code, 1, "{what}: {log}");
        let errors: Vec<_> = log.lines().filter(|it| it.starts_with("error:")).collect();
        assert_eq!(errors.len(), 1, "{what}: {log}");
        assert!(
            errors[0].contains("cannot use the TLS files `") && errors[0].contains("cert.pem"),
            "{what}: {}",
            errors[0]
        );
        assert!(
            !log.contains("the bridge is ready"),
            "{what}: nothing is started for it: {log}"
        );
        eprintln!("{what}: {}", errors[0]);
    }
}
