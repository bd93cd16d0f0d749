//! OAuth as the field speaks it: one row for each shape that some vendor has, with the right answer.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    call, link_in, server, shared_link,
    terminal::{begin, end},
    until_status, with_keys,
};
use crate::harness::{Bridge, Browser, OddOAuth, Page, until};

const ALICE: &str = "alice@example.org";

/// What becomes of a scenario.
#[derive(Debug, Clone, Copy)]
enum Right {
    /// The login works, and the answer of a call begins so.
    Calls(&'static str),
    /// The login ends with these words.
    Refused(&'static [&'static str]),
}

use Right::{Calls, Refused};

/// The call with the first token.
const FIRST: Right = Calls("\"ok, token 1\"");

/// A call with any token: this one lives for seconds.
const LIVES: Right = Calls("\"ok, token ");

/// A scenario, what its `oauth` table says, and what is right.
type Row = (&'static str, &'static str, Right);

/// A bridge before some scenarios, each with its table.
async fn bridge(odd: &OddOAuth, rows: &[(&str, &str)], more: &str) -> Bridge {
    let names = rows.iter().map(|(scenario, _)| format!("'{scenario}'"));
    let names = names.collect::<Vec<_>>().join(", ");
    let tables = rows.iter().map(|(scenario, keys)| {
        let base = odd.base(scenario);
        let keys = keys.replace("{base}", &base);
        format!(
            "[bridges.{scenario}]\nurl = '{base}/mcp'\ntransport = 'http'\nlazy = true\noauth = {{ {keys} }}\n{more}"
        )
    });
    let tables = tables.collect::<Vec<_>>().concat();
    with_keys(&format!(
        "[access]\ndefault_groups = ['everyone']\n[access.groups]\neveryone = [{names}]\n{tables}"
    ))
    .env("OA_SECRET", "sek+/=")
    .ready()
    .await
}

/// Logs in for all callers.
async fn log_in(bridge: &Bridge, scenario: &str) -> Page {
    let link = shared_link(bridge, scenario).await;
    Browser::new().connect_at_once(&link).await
}

/// A call of Alice.
async fn calls(bridge: &Bridge, scenario: &str) -> (u16, String, String) {
    let answer = call(bridge, ALICE, &format!("/{scenario}/t"), &json!({})).await;
    let code = if answer.status == 200 {
        String::new()
    } else {
        answer.code()
    };
    (answer.status, code, answer.text)
}

/// Tries some rows, all at one bridge.
async fn try_all(rows: &[Row]) -> (OddOAuth, Bridge) {
    let scenarios: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let odd = OddOAuth::start(&scenarios).await;
    let tables: Vec<(&str, &str)> = rows.iter().map(|row| (row.0, row.1)).collect();
    let bridge = bridge(&odd, &tables, "").await;
    let mut wrong = Vec::new();
    for (scenario, _, right) in rows {
        let page = log_in(&bridge, scenario).await;
        match right {
            Calls(text) if page.status == 200 => {
                until_status(&bridge, scenario, "ready").await;
                let called = calls(&bridge, scenario).await;
                if !called.2.starts_with(*text) {
                    wrong.push(format!("{scenario}: {called:?}"));
                }
            }
            Refused(words) if page.status != 200 => {
                let text = page.text.replace("&quot;", "\"").replace("&#34;", "\"");
                let missing = words.iter().filter(|it| !text.contains(**it));
                wrong.extend(missing.map(|it| format!("{scenario}: no `{it}` in {text}")));
                let status = server(&bridge, scenario).await["status"].clone();
                if status != "needs_login" {
                    wrong.push(format!("{scenario}: {status}"));
                }
            }
            Calls(_) | Refused(_) => {
                wrong.push(format!("{scenario}: {} {}", page.status, page.text));
            }
        }
        wrong.extend(unsafe_login(&odd, scenario).await);
        wrong.extend(leaks(&bridge, &page, scenario));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    (odd, bridge)
}

/// Logins without PKCE or `state`: there are none.
async fn unsafe_login(odd: &OddOAuth, scenario: &str) -> Option<String> {
    let asked = odd.asked(scenario, "GET").await;
    let mut logins = asked.iter().filter(|it| it.starts_with("/authorize"));
    let all = ["state=", "code_challenge=", "code_challenge_method=S256"];
    let found = logins.find(|it| !all.iter().all(|needle| it.contains(needle)))?;
    Some(format!("{scenario}: {found}"))
}

/// Secrets in a page or in the log: there are none.
fn leaks(bridge: &Bridge, page: &Page, scenario: &str) -> Option<String> {
    let log = bridge.log();
    let secrets = [
        "at-1-of",
        "rt-1-of",
        "at-2-of",
        "rt-2-of",
        "code-0-of",
        "sek+/=",
    ];
    let found = secrets
        .iter()
        .find(|it| log.contains(**it) || page.text.contains(**it))?;
    Some(format!("{scenario}: `{found}` is told"))
}

/// The shapes of a token answer.
const TOKENS: [&str; 24] = [
    "plain",
    "tokstrexp",
    "tokstrfloatexp",
    "tokfloatexp",
    "toknegexp",
    "tokzeroexp",
    "tokwordexp",
    "tokbigexp",
    "toknulls",
    "tokempty",
    "tokscopearr",
    "tokscopecomma",
    "tokuser",
    "toktypearr",
    "tokerrnull",
    "tokslack",
    "toknotype",
    "tokbare",
    "tokbom",
    "tokct",
    "tokhtmlct",
    "toknoct",
    "tokform",
    "tokformct",
];

#[tokio::test]
async fn a_token_answer_is_taken_as_vendors_write_it() {
    let mut rows: Vec<Row> = TOKENS
        .iter()
        .map(|scenario| (*scenario, "", FIRST))
        .collect();
    rows.push(("tok201", "", FIRST));
    rows.push(("tokhtml", "", Refused(&["cannot be used now"])));
    try_all(&rows).await;
}

#[tokio::test]
async fn a_refreshed_token_is_taken_as_vendors_write_it() {
    let scenarios: Vec<String> = TOKENS
        .iter()
        .map(|scenario| format!("re_{scenario}"))
        .collect();
    let scenarios: Vec<&str> = scenarios
        .iter()
        .map(String::as_str)
        .chain(["re_tok201"])
        .collect();
    let odd = OddOAuth::start(&scenarios).await;
    let tables: Vec<(&str, &str)> = scenarios.iter().map(|scenario| (*scenario, "")).collect();
    let bridge = bridge(&odd, &tables, "").await;
    for scenario in &scenarios {
        let page = log_in(&bridge, scenario).await;
        assert_eq!(page.status, 200, "{scenario} {}", page.text);
    }
    sleep(Duration::from_millis(4200)).await;
    for scenario in &scenarios {
        until(async || calls(&bridge, scenario).await.2 == "\"ok, token 2\"").await;
        let forms = odd.asked(scenario, "TOKEN").await;
        assert_eq!(forms.len(), 2, "{scenario}: it was renewed once");
    }
}

#[tokio::test]
async fn the_resource_is_left_out_or_named_where_the_server_wants_it() {
    let hint: &[&str] = &["resource = false"];
    let (odd, bridge) = try_all(&[
        ("authres", "resource = false", FIRST),
        ("authuri", "resource = 'api://my-app-id'", FIRST),
        ("authtarget", "", Refused(hint)),
        ("tokres", "", FIRST),
        ("tokrestarget", "", FIRST),
        (
            "tokresspent",
            "",
            Refused(&[
                "used before",
                "before that",
                "resource is not supported with ***",
            ]),
        ),
        ("prmuri", "resource = 'api://my-app-id'", FIRST),
        ("refres", "", LIVES),
        ("refresrequest", "", LIVES),
        ("refscope", "", LIVES),
    ])
    .await;
    for scenario in ["authres", "tokres"] {
        let forms = odd.asked(scenario, "TOKEN").await;
        assert!(!forms.last().unwrap().contains("resource="), "{forms:?}");
    }
    let page = &odd.asked("authuri", "GET").await;
    let page = page.iter().find(|it| it.starts_with("/authorize")).unwrap();
    assert!(page.contains("resource=api%3A%2F%2Fmy-app-id"), "{page}");
    sleep(Duration::from_millis(4200)).await;
    for scenario in ["refres", "refresrequest", "refscope"] {
        until(async || calls(&bridge, scenario).await.2 == "\"ok, token 2\"").await;
        let forms = odd.asked(scenario, "TOKEN").await;
        // A renewal names no scope, so that there is nothing to refuse in `refscope`.
        let requests = if scenario == "refscope" { 2 } else { 3 };
        assert_eq!(
            forms.len(),
            requests,
            "one login, one refusal, one renewal: {forms:?}"
        );
        assert!(forms[1].contains("resource="), "{forms:?}");
    }
}

#[tokio::test]
async fn a_body_with_an_error_ends_a_login_whatever_its_status() {
    let (odd, _bridge) = try_all(&[
        (
            "tok200err",
            "",
            Refused(&["bad_verification_code", "The code *** is incorrect"]),
        ),
        ("tokform200err", "", Refused(&["bad_verification_code"])),
    ])
    .await;
    let forms = odd.asked("tok200err", "TOKEN").await;
    assert_eq!(forms.len(), 1, "{forms:?}");
}

#[tokio::test]
async fn a_refresh_that_is_refused_in_any_words_waits_for_a_login() {
    // The scenario, and how often its token endpoint is asked: the login, and the refusals.
    let ended = [
        ("ref200err", 2),
        ("ref200form", 2),
        ("refslack", 2),
        ("refslack2", 2),
        ("refexpired", 2),
        ("refnested", 2),
        ("ref500", 2),
        ("refbom", 2),
        ("refrequest", 3),
    ];
    let scenarios: Vec<&str> = ended.iter().map(|row| row.0).chain(["refbusy"]).collect();
    let odd = OddOAuth::start(&scenarios).await;
    let tables: Vec<(&str, &str)> = scenarios.iter().map(|scenario| (*scenario, "")).collect();
    let bridge = bridge(&odd, &tables, "").await;
    for scenario in &scenarios {
        let page = log_in(&bridge, scenario).await;
        assert_eq!(page.status, 200, "{scenario} {}", page.text);
    }
    sleep(Duration::from_millis(4200)).await;
    for (scenario, asked) in ended {
        for _ in 0..3 {
            let (status, code, text) = calls(&bridge, scenario).await;
            assert_eq!(
                (status, code.as_str()),
                (503, "needs_login"),
                "{scenario} {text}"
            );
            assert!(!text.contains("rt-1-of"), "{text}");
        }
        until_status(&bridge, scenario, "needs_login").await;
        let forms = odd.asked(scenario, "TOKEN").await;
        assert_eq!(
            forms.len(),
            asked,
            "{scenario}: it is not asked for ever: {forms:?}"
        );
    }
    let (status, code, text) = calls(&bridge, "refbusy").await;
    assert_eq!((status, code.as_str()), (503, "unavailable"), "{text}");
}

#[tokio::test]
async fn the_pointer_of_a_challenge_is_seen_wherever_it_stands() {
    let names = [
        "ws", "tabs", "lines", "split", "oneline", "token68", "quoted", "escaped", "upper",
        "single", "unquoted", "relative", "two", "dpop", "get",
    ];
    let rows: Vec<Row> = names
        .iter()
        .map(|scenario| (*scenario, "", FIRST))
        .collect();
    let (odd, _bridge) = try_all(&rows).await;
    for scenario in names {
        let asked = odd.asked(scenario, "GET").await;
        assert!(
            asked.iter().any(|it| it == "/odd/prm"),
            "{scenario} {asked:?}"
        );
    }
    let asked = odd.asked("lines", "GET").await;
    let page = asked
        .iter()
        .find(|it| it.starts_with("/authorize"))
        .unwrap();
    assert!(page.contains("scope=s1+s2"), "{page}");
}

#[tokio::test]
async fn discovery_goes_on_where_a_document_is_of_no_use() {
    try_all(&[
        ("noprm", "", FIRST),
        ("prmnoas", "", FIRST),
        ("prmdeadfirst", "", FIRST),
        ("prmotherfirst", "", FIRST),
        ("prmprivatefirst", "", FIRST),
        ("prmplainfirst", "", FIRST),
        ("prm500", "", FIRST),
        ("prmhtml", "", FIRST),
        ("prmbroken", "", FIRST),
        ("prmlist", "", FIRST),
        ("prmbom", "", FIRST),
        ("prmmoved", "", FIRST),
        ("prmaway", "", FIRST),
        ("prmforeign", "", FIRST),
        ("prmasstr", "", FIRST),
        ("prmasobj", "", FIRST),
        ("prmscopestr", "", FIRST),
        ("as500", "", FIRST),
        ("as429", "", FIRST),
        ("as403", "", FIRST),
        ("ashtml", "", FIRST),
        ("asbroken", "", FIRST),
        ("asbig", "", FIRST),
        ("asforeign", "", FIRST),
        ("asbom", "", FIRST),
        ("asappended", "", FIRST),
        ("relendp", "", FIRST),
        ("nopkce", "", Refused(&["S256"])),
    ])
    .await;
}

#[tokio::test]
async fn a_document_that_names_another_is_used_on_the_operators_word_alone() {
    let (odd, _bridge) = try_all(&[
        ("issslash", "", FIRST),
        ("issnoslash", "", FIRST),
        ("issroot", "", FIRST),
        ("isscase", "", FIRST),
        ("prmslash", "", FIRST),
        ("prmroot", "", FIRST),
        ("issparam", "", FIRST),
        ("issparamslash", "", Refused(&["issuer"])),
        ("issunasked", "", Refused(&["issuer"])),
        (
            "issdrop",
            "",
            Refused(&["names the issuer", "metadata_url = \"http://127.0.0.1"]),
        ),
        (
            "prmother",
            "",
            Refused(&[
                "http://127.0.0.1:1/mcp",
                "resource = \"http://127.0.0.1:1/mcp\"",
            ]),
        ),
        ("isskey", "issuer = '{base}'", FIRST),
        ("issother", "metadata_url = '{base}/__metadata'", FIRST),
    ])
    .await;
    let page = odd.asked("prmslash", "GET").await;
    let page = page.iter().find(|it| it.starts_with("/authorize")).unwrap();
    assert!(
        page.contains("%2Fmcp%2F&") || page.ends_with("%2Fmcp%2F"),
        "{page}"
    );
}

#[tokio::test]
async fn a_place_that_the_operator_names_is_guarded_and_must_fit() {
    for (keys, words) in [
        ("", &["https://cf.mcp.example.com", "metadata_url = "][..]),
        ("issuer = 'http://10.1.2.3'", &["10.1.2.3", "private"]),
        (
            "metadata_url = 'http://10.1.2.3/x'",
            &["10.1.2.3", "private"],
        ),
        ("metadata_url = '{base}/gone'", &["/gone", "no document"]),
        (
            "metadata_url = '{base}/__metadata', issuer = 'https://another.example'",
            &["names the issuer `https://cf.mcp.example.com`"],
        ),
    ] {
        try_all(&[("issother", keys, Refused(words))]).await;
    }
    let both = "metadata_url = '{base}/__metadata', issuer = 'https://cf.mcp.example.com/'";
    try_all(&[("issother", both, FIRST)]).await;
}

#[tokio::test]
async fn a_client_registers_for_what_the_server_offers_and_acts_so() {
    let key = "client_id = 'cid', client_secret = '${OA_SECRET}', \
               token_endpoint_auth_method = 'client_secret_basic'";
    let (odd, bridge) = try_all(&[
        ("regpost", "", FIRST),
        ("regbasic", "", FIRST),
        ("regboth", "", FIRST),
        ("regnone", "", FIRST),
        ("regstr", "", FIRST),
        ("regquiet", "", FIRST),
        ("regother", "", FIRST),
        ("regsilent", "", FIRST),
        ("regnonesecret", "", FIRST),
        ("liespost", "", FIRST),
        ("regbare", "", FIRST),
        ("regint", "", FIRST),
        ("regbom", "", FIRST),
        ("regover", "", FIRST),
        ("regscope", "", FIRST),
        ("regscopeshort", "", FIRST),
        ("reg200err", "", Refused(&["ask us first", "client_id"])),
        ("methodkey", key, FIRST),
    ])
    .await;
    for (scenario, registrations) in [
        ("regpost", 1),
        ("regquiet", 2),
        ("regscope", 2),
        ("methodkey", 0),
    ] {
        let asked = odd.asked(scenario, "REGISTER").await;
        assert_eq!(asked.len(), registrations, "{scenario} {asked:?}");
    }
    let asked = odd.asked("regscope", "REGISTER").await;
    let first: Value = serde_json::from_str(&asked[0]).unwrap();
    assert_eq!(first["scope"], "read write");
    // One whose secret is over is not used again, and another is.
    for (scenario, registrations) in [("regover", 2), ("regbare", 1)] {
        let page = log_in(&bridge, scenario).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let asked = odd.asked(scenario, "REGISTER").await;
        assert_eq!(asked.len(), registrations, "{scenario}");
    }
}

#[tokio::test]
async fn client_credentials_meet_the_same_shapes() {
    let own = "grant = 'client_credentials', client_id = 'cid', client_secret = '${OA_SECRET}'";
    let unsaid = format!("{own}, resource = false");
    let rows = [
        ("tokstrexp", own),
        ("tokform", own),
        ("tokbom", own),
        ("prmslash", own),
        ("as500", own),
        ("machinetarget", &unsaid),
    ];
    let scenarios: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let odd = OddOAuth::start(&scenarios).await;
    let bridge = bridge(&odd, &rows, "").await;
    for scenario in scenarios {
        let called = calls(&bridge, scenario).await;
        assert_eq!(called.2, "\"ok, token 1\"", "{scenario}\n{}", bridge.log());
    }
    // No person said yes to a page that named the resource: it is not left out without the operator's word.
    let odd = OddOAuth::start(&["machinetarget"]).await;
    let bridge = self::bridge(&odd, &[("machinetarget", own)], "").await;
    let (status, _, text) = calls(&bridge, "machinetarget").await;
    assert!(status != 200 && text.contains("resource = false"), "{text}");
}

#[tokio::test]
async fn callers_meet_the_same_shapes() {
    let scenarios = [
        "re_tokform",
        "tokres",
        "lines",
        "noprm",
        "issslash",
        "regpost",
        "ref200err",
    ];
    let odd = OddOAuth::start(&scenarios).await;
    let tables: Vec<(&str, &str)> = scenarios.iter().map(|scenario| (*scenario, "")).collect();
    let bridge = bridge(&odd, &tables, "credential = 'caller'\n").await;
    for scenario in scenarios {
        let refused = call(&bridge, ALICE, &format!("/{scenario}/t"), &json!({})).await;
        let page = Browser::new().connect_at_once(&link_in(&refused)).await;
        assert_eq!(page.status, 200, "{scenario} {}", page.text);
    }
    sleep(Duration::from_millis(4200)).await;
    for scenario in scenarios {
        let path = format!("/{scenario}/t");
        if scenario == "ref200err" {
            link_in(&call(&bridge, ALICE, &path, &json!({})).await);
            continue;
        }
        let called = calls(&bridge, scenario).await;
        assert!(called.2.starts_with("\"ok, token"), "{scenario} {called:?}");
    }
}

#[tokio::test]
async fn a_login_from_a_terminal_meets_the_same_shapes() {
    let scenarios = [
        "tokform",
        "tokrestarget",
        "split",
        "prmdeadfirst",
        "regbasic",
    ];
    let odd = OddOAuth::start(&scenarios).await;
    let tables: Vec<(&str, &str)> = scenarios.iter().map(|scenario| (*scenario, "")).collect();
    let bridge = bridge(&odd, &tables, "").await;
    for scenario in scenarios {
        let (child, url) = begin(&bridge, &["login", scenario]).await;
        Browser::new().open(&url).await;
        let connected = format!("{scenario} is connected\n");
        assert_eq!(end(child).await, (0, connected), "{scenario}");
        until(async || calls(&bridge, scenario).await.2 == "\"ok, token 1\"").await;
    }
}
