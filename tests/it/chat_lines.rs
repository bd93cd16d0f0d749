//! Progress of calls in Open WebUI's chats, where something is wrong: with the chats, with what servers say, or with
//! who asks. No call is slower or fails for it, and no chat hears of another's.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, ChatApi, OpenWebUi, Setup, User, free_port, until};

const SECRET: &str = "the secret of open webui, 0123456789";
const KEY: &str = "the key of an administrator, 0123456789";
/// What a server is told and must not tell.
const TOKEN: &str = "tok-of-the-server-0123456789";

const TOML: &str = "
[database]
open_webui = '{dir}/webui.db'
[identity.open_webui]
secret_key = '${LINES_SECRET}'
url = '${LINES_URL}'
[identity.keys.ops]
key = '${LINES_KEY}'
groups = ['MCP-Admin']
[access.groups]
staff = ['good', 'brief', 'off', 'own']
sales = ['good']
[bridges.good]
env = { TOKEN = '${LINES_TOKEN}' }
{bad good --record {dir}/good.jsonl}
[bridges.brief]
timeout = '2s'
{bad good}
[bridges.off]
progress = false
{bad good --record {dir}/off.jsonl}
[bridges.own]
credential = 'group'
env = { TOKEN = '${LINES_OWN:-none}' }
{bad good --record {dir}/own.jsonl}
";

/// A bridge before a stand-in.
async fn start(url: &str) -> Bridge {
    let setup = Setup::toml(TOML)
        .env("LINES_SECRET", SECRET)
        .env("LINES_URL", url)
        .admin_key("LINES_KEY", KEY)
        .env("LINES_TOKEN", TOKEN);
    OpenWebUi::in_sqlite(&setup.path().join("webui.db")).await;
    setup.ready().await
}

/// The headers of a call from a chat.
fn from_chat(user: User, chat: &str) -> Vec<(&'static str, String)> {
    vec![
        ("authorization", format!("Bearer {}", user.token(SECRET))),
        ("x-openwebui-chat-id", chat.to_owned()),
        ("x-openwebui-message-id", format!("message-of-{chat}")),
    ]
}

/// Calls the tool that talks, from a chat.
async fn talk(bridge: &Bridge, path: &str, chat: &str, arguments: Value) -> Answer {
    bridge
        .caller(&from_chat(User::Alice, chat))
        .post(path, &arguments)
        .await
}

/// How often the log has a text.
fn told(bridge: &Bridge, text: &str) -> usize {
    bridge.log().matches(text).count()
}

#[tokio::test]
async fn a_chat_that_cannot_be_written_to_neither_delays_nor_fails_a_call() {
    let elsewhere = ChatApi::start("").await;
    let target = format!(
        "{}/api/v1/chats/x/messages/y/event",
        elsewhere.url.replace("127.0.0.1", "localhost")
    );
    let api = ChatApi::start(&target).await;
    let bridge = start(&api.url).await;
    let faults = [
        "hang", "slow", "s401", "s403", "s404", "s500", "s502", "endless", "redirect",
    ];
    let calls = (0..2).flat_map(|n| faults.map(|fault| format!("{fault}-{n}")));
    let calls = calls.map(async |chat| {
        let begun = Instant::now();
        let arguments = json!({ "count": 3, "pause": 0.5, "words": "on its way" });
        let answer = talk(&bridge, "/good/notify", &chat, arguments).await;
        assert_eq!(answer.status, 200, "{chat}: {}", answer.text);
        assert!(answer.text.contains("said 3"), "{chat}: {}", answer.text);
        // A line may take two seconds, and the call takes one and a half.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "{chat} took {took:?}");
    });
    join_all(calls).await;
    for taken in ["endless-0", "endless-1"] {
        assert_eq!(api.whole(taken).await.last().unwrap(), "notify: done");
    }
    // Whoever was refused is not asked again; everybody else was.
    until(async || {
        ["hang-0", "slow-0", "s500-0"]
            .iter()
            .all(|chat| api.lines(chat).last().is_some_and(|line| line.is_last))
    })
    .await;
    for refused in ["s401", "s403", "s404"] {
        for n in 0..2 {
            assert_eq!(api.lines(&format!("{refused}-{n}")).len(), 1, "{refused}");
        }
    }
    assert_eq!(elsewhere.all().len(), 0, "a token went elsewhere");
    // Each kind of fault once, however often it happened.
    for fault in [
        "(status 401",
        "(status 403",
        "(status 404",
        "status 500",
        "status 502",
        "status 307",
        "does not respond within",
    ] {
        assert_eq!(told(&bridge, fault), 1, "{fault}\n{}", bridge.log());
    }
    assert_eq!(
        told(
            &bridge,
            "cannot show the progress of calls in Open WebUI's chats"
        ),
        7
    );
    assert!(!bridge.log().contains(&User::Alice.token(SECRET)[..20]));
}

#[tokio::test]
async fn an_open_webui_that_is_away_is_noticed_by_nobody_who_calls() {
    let bridge = start(&format!("http://127.0.0.1:{}", free_port())).await;
    for _ in 0..2 {
        let arguments = json!({ "count": 3, "pause": 0.3 });
        let answer = talk(&bridge, "/good/notify", "chat", arguments).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    until(async || told(&bridge, "cannot be reached") > 0).await;
    assert_eq!(told(&bridge, "cannot be reached"), 1);
}

#[tokio::test]
async fn a_chat_that_hangs_does_not_hold_up_the_end_of_the_program() {
    let api = ChatApi::start("").await;
    let mut bridge = start(&api.url).await;
    let arguments = json!({ "count": 2, "pause": 0.4 });
    let answer = talk(&bridge, "/good/notify", "hang-1", arguments).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let begun = Instant::now();
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn however_a_call_ends_its_chat_does_not_spin_for_ever() {
    let api = ChatApi::start("").await;
    let bridge = start(&api.url).await;
    let talk_of = |then: &str| json!({ "count": 2, "pause": 0.3, "words": "here", "then": then });
    let ((done, failed), (late, ())) = tokio::join!(
        async {
            tokio::join!(
                talk(&bridge, "/good/notify", "done", talk_of("answer")),
                talk(&bridge, "/good/notify", "failed", talk_of("fail")),
            )
        },
        async {
            tokio::join!(
                talk(&bridge, "/brief/notify", "late", talk_of("hang")),
                hang_up(&bridge, "gone", talk_of("hang")),
            )
        },
    );
    assert_eq!(
        (done.status, failed.status, late.status),
        (200, 422, 504),
        "{failed:?}"
    );
    for (chat, end) in [
        ("done", "notify: done"),
        ("failed", "notify: failed"),
        ("late", "notify: timed out"),
        ("gone", "notify: stopped"),
    ] {
        let lines = api.whole(chat).await;
        assert!(lines.len() >= 2, "{chat}: {lines:?}");
        assert_eq!(lines.last().unwrap(), end, "{lines:?}");
        assert_eq!(lines[0], "notify: here (0 of 2)", "{chat}");
        for line in api.lines(chat) {
            assert_eq!(line.place.1, format!("message-of-{chat}"));
            assert!(line.authorization.starts_with("Bearer ey"), "{line:?}");
        }
    }
}

/// A caller who waits for a second and is gone.
async fn hang_up(bridge: &Bridge, chat: &str, arguments: Value) {
    let mut request = crate::harness::client()
        .post(format!("{}/good/notify", bridge.base))
        .body(arguments.to_string())
        .timeout(Duration::from_secs(1));
    for (name, value) in from_chat(User::Alice, chat) {
        request = request.header(name, value);
    }
    assert!(request.send().await.is_err(), "it was answered");
}

#[tokio::test]
async fn a_call_that_names_no_chat_or_may_not_write_there_is_sent_as_ever() {
    let api = ChatApi::start("").await;
    let bridge = start(&api.url).await;
    let with = |changes: &[(&'static str, &str)]| {
        let mut headers = from_chat(User::Alice, "chat");
        for (name, value) in changes {
            headers.retain(|(known, _)| known != name);
            if !value.is_empty() {
                headers.push((name, (*value).to_owned()));
            }
        }
        headers
    };
    let cookie = format!("token={}", User::Alice.token(SECRET));
    let key = format!("Bearer {KEY}");
    let own_key = format!("Bearer {}", User::Alice.api_key());
    let cases = [
        ("no chat", "good", with(&[("x-openwebui-chat-id", "")])),
        (
            "no message",
            "good",
            with(&[("x-openwebui-message-id", "")]),
        ),
        (
            "not kept",
            "good",
            with(&[("x-openwebui-chat-id", "local:x")]),
        ),
        (
            "template",
            "good",
            with(&[("x-openwebui-chat-id", "{{CHAT_ID}}")]),
        ),
        (
            "up",
            "good",
            with(&[("x-openwebui-chat-id", "../../users")]),
        ),
        (
            "address",
            "good",
            with(&[("x-openwebui-chat-id", "http://127.0.0.1:1/x")]),
        ),
        ("our key", "good", with(&[("authorization", &key)])),
        (
            "a key of Open WebUI",
            "good",
            with(&[("authorization", &own_key)]),
        ),
        (
            "cookie",
            "good",
            with(&[("authorization", ""), ("cookie", &cookie)]),
        ),
        ("switched off", "off", with(&[])),
    ];
    let calls = cases.iter().map(async |(name, to, headers)| {
        let arguments = json!({ "count": 2, "pause": 0.3, "words": name });
        let answer = bridge
            .caller(headers)
            .post(&format!("/{to}/notify"), &arguments)
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    });
    join_all(calls).await;
    let mut seen = bridge.calls("good.jsonl");
    seen.extend(bridge.calls("off.jsonl"));
    assert_eq!(seen.len(), cases.len());
    for call in seen {
        assert_eq!(call["meta"], Value::Null, "{call}");
    }
    assert_eq!(api.all().len(), 0, "{:?}", api.all());
}

#[tokio::test]
async fn no_chat_hears_of_the_call_of_another() {
    let api = ChatApi::start("").await;
    let bridge = start(&api.url).await;
    // One call alone: the log of the server can be about nothing else.
    let arguments = json!({ "count": 2, "pause": 0.4, "log": "alone" });
    talk(&bridge, "/good/notify", "alone", arguments).await;
    assert_eq!(api.whole("alone").await, ["notify: alone", "notify: done"]);
    // Five at once on one session, two users: progress is each one's own, and of the log nobody can tell whose it is.
    let calls = (0..5).map(async |n| {
        let user = if n % 2 == 0 { User::Alice } else { User::Bob };
        let chat = format!("chat{n}");
        let arguments = json!({ "count": 3, "pause": 0.5, "words": format!("words of {n}") });
        let headers = from_chat(user, &chat);
        let answer = bridge
            .caller(&headers)
            .post("/good/notify", &arguments)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let lines = api.whole(&chat).await;
        assert!(lines.len() >= 3, "{lines:?}");
        for (line, is_last) in lines
            .iter()
            .zip((1..lines.len()).map(|at| at == lines.len()))
        {
            assert!(
                is_last || line.contains(&format!("words of {n} ")),
                "{lines:?}"
            );
        }
    });
    join_all(calls).await;
    // Two at once, one of which only logs.
    let bob = bridge.as_bearer(&User::Bob.token(SECRET));
    let (mine, another) = (
        json!({ "count": 3, "pause": 0.4, "words": "mine" }),
        json!({ "count": 3, "pause": 0.4, "log": "of another" }),
    );
    let (_one, _two) = tokio::join!(
        talk(&bridge, "/good/notify", "quiet", mine),
        bob.call("good/notify", &another),
    );
    let lines = api.whole("quiet").await;
    assert!(
        lines.iter().all(|line| !line.contains("another")),
        "{lines:?}"
    );
    // A call that was given up may still be spoken of: the log is nobody's from then on.
    hang_up(&bridge, "gone", json!({ "then": "hang", "pause": 0.0 })).await;
    until(async || bridge.read("good.jsonl").contains("\"cancelled\"")).await;
    let arguments = json!({ "count": 2, "pause": 0.4, "log": "of the one before" });
    talk(&bridge, "/good/notify", "after", arguments).await;
    assert_eq!(api.lines("after").len(), 0, "{:?}", api.lines("after"));
}

#[tokio::test]
async fn what_a_server_says_is_cleaned_before_it_is_shown() {
    let api = ChatApi::start("").await;
    let bridge = start(&api.url).await;
    let cases = [
        (
            "plain",
            "with $TOKEN".to_owned(),
            "notify: with *** (0 of 2)",
        ),
        (
            "hidden",
            "with $SPLIT".to_owned(),
            "notify: with *** (0 of 2)",
        ),
        (
            "lines",
            "one\r\ntwo\u{1b}[2J\u{2028}three".to_owned(),
            "notify: one two[2J three (0 of 2)",
        ),
    ];
    let calls = cases.iter().map(async |(chat, words, expected)| {
        let arguments = json!({ "count": 2, "pause": 0.6, "words": words });
        talk(&bridge, "/good/notify", chat, arguments).await;
        let lines = api.whole(chat).await;
        assert_eq!(
            (lines[0].as_str(), lines.last().unwrap().as_str()),
            (*expected, "notify: done"),
            "{chat}"
        );
    });
    join_all(calls).await;
    let long = "ü".repeat(9_000);
    let arguments = json!({ "count": 1, "pause": 0.6, "words": long });
    talk(&bridge, "/good/notify", "long", arguments).await;
    let lines = api.whole("long").await;
    assert!(
        lines[0].chars().count() <= 200 && lines[0].contains('…'),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_session_of_a_group_tells_as_the_shared_one_does() {
    let api = ChatApi::start("").await;
    let bridge = start(&api.url).await;
    let key = json!({ "tenant_id": "staff", "server_id": "own", "key_name": "LINES_OWN", "key_value": "own-0123456789" });
    until(async || bridge.admin_api().post("/tenant-keys", &key).await.status == 200).await;
    let arguments = json!({ "count": 2, "pause": 0.4, "words": "$TOKEN in a session of its own" });
    let answer = talk(&bridge, "/own/notify", "own", arguments).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let lines = api.whole("own").await;
    assert_eq!(lines[0], "notify: *** in a session of its own (0 of 2)");
    assert_eq!(lines.last().unwrap(), "notify: done");
}
