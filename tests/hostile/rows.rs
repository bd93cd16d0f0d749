//! The table: which attacks there are, and what each may cost beyond what holds for all.

#![expect(clippy::too_many_lines, reason = "a table")]

use std::time::Duration;

use crate::{
    bounds::MIB,
    callers::{self, Caller, Source},
    http2,
    stage::LOW,
};

/// Who attacks.
pub enum Attack {
    /// A stdio server in a mode of `hostile_stdio.py`.
    Stdio(&'static str),
    /// A server behind a URL, by its transport, in a mode of `hostile_http.py`.
    Http(&'static str, &'static str),
    /// A caller.
    Caller(Caller),
}

/// Whose calls must go on meanwhile.
pub enum Victim {
    /// Those of the bridge beside the hostile one.
    Healthy,
    /// Those of the hostile bridge itself.
    Same,
    /// None: what is written is measured, so nobody else writes.
    Nobody,
}

/// An attack and its bounds.
pub struct Row {
    /// The group it is listed in.
    pub kind: &'static str,
    /// What the attacker does.
    pub name: &'static str,
    /// How it is done.
    pub attack: Attack,
    /// Who must not notice.
    pub victim: Victim,
    /// Calls of the tool `attack` at once, by the hostile caller, where a server attacks.
    pub calls: usize,
    /// The addresses that hostile callers come from.
    pub source: Source,
    /// Whether the attack begins before the handshake.
    pub is_first: bool,
    /// Whether the attacked bridge must still be `ready` afterwards; it may have ended with a reason otherwise.
    pub is_kept: bool,
    /// Whether SIGTERM comes during a second attack.
    pub is_stopped: bool,
    /// Memory that it may take beyond the common bound, for results of the configured size.
    pub memory: u64,
    /// The share of a core that it may take, in percent.
    pub cpu: Option<f64>,
    /// Bytes that it may write.
    pub disk: Option<u64>,
    /// How long the hostile caller may wait for an answer.
    pub answer: Option<Duration>,
    /// Open files that the bridge may have.
    pub descriptors: Option<u32>,
    /// Lines for `[limits]`.
    pub limits: &'static str,
}

impl Row {
    /// Whether another row may follow at the same bridge.
    fn goes_with(&self, next: &Self) -> bool {
        !self.is_stopped && self.limits == next.limits && self.descriptors == next.descriptors
    }

    const fn new(kind: &'static str, name: &'static str, attack: Attack) -> Self {
        Self {
            kind,
            name,
            attack,
            victim: Victim::Healthy,
            calls: 0,
            source: Source::One,
            is_first: false,
            is_kept: false,
            is_stopped: false,
            memory: 0,
            cpu: None,
            disk: None,
            answer: None,
            descriptors: None,
            limits: "",
        }
    }

    /// Messages or bytes that no request asked for.
    fn flood(mode: &'static str) -> Self {
        Self::new("flood", mode, Attack::Stdio(mode))
    }

    /// Bytes that are not messages.
    fn junk(mode: &'static str) -> Self {
        Self::new("junk", mode, Attack::Stdio(mode)).cpu(5.0)
    }

    /// A list of tools.
    fn list(mode: &'static str) -> Self {
        Self::new("list", mode, Attack::Stdio(mode))
    }

    /// A schema that is dear to validate against.
    fn schema(mode: &'static str) -> Self {
        let row = Self::new("schema", mode, Attack::Stdio(mode))
            .calls(2)
            .kept();
        Self {
            answer: Some(Duration::from_secs(1)),
            ..row
        }
    }

    /// An answer to a call; one of the configured size is in memory.
    fn answer(mode: &'static str) -> Self {
        Self::new("answer", mode, Attack::Stdio(mode))
            .calls(1)
            .memory(32)
    }

    /// What comes before the tools.
    fn hello(mode: &'static str) -> Self {
        Self::new("hello", mode, Attack::Stdio(mode)).first()
    }

    /// A server behind a URL.
    fn http(mode: &'static str) -> Self {
        let row = Self::new("http", mode, Attack::Http("streamable-http", mode)).calls(2);
        // These grow until they are larger than a result may be.
        if mode.starts_with("body:") || mode.starts_with("post-raw:endless") {
            row.memory(32)
        } else {
            row
        }
    }

    /// The old transport.
    fn sse(mode: &'static str) -> Self {
        Self::new("sse", mode, Attack::Http("sse", mode)).calls(2)
    }

    /// An OpenAPI service.
    fn openapi(mode: &'static str) -> Self {
        let row = Self::new("openapi", mode, Attack::Http("openapi", mode));
        if mode.starts_with("document") {
            row.first()
        } else {
            row.calls(2)
        }
    }

    /// A caller. The attacked bridge has done nothing wrong and stays.
    fn caller(name: &'static str, caller: Caller) -> Self {
        Self::new("caller", name, Attack::Caller(caller)).kept()
    }

    /// A caller who speaks HTTP/2.
    fn http2(name: &'static str, caller: Caller) -> Self {
        Self::new("http/2", name, Attack::Caller(caller)).kept()
    }

    fn first(self) -> Self {
        Self {
            is_first: true,
            ..self
        }
    }

    fn kept(self) -> Self {
        Self {
            is_kept: true,
            ..self
        }
    }

    fn stopped(self) -> Self {
        Self {
            is_stopped: true,
            ..self
        }
    }

    fn calls(self, calls: usize) -> Self {
        Self { calls, ..self }
    }

    fn memory(self, mebibytes: u64) -> Self {
        Self {
            memory: mebibytes * MIB,
            ..self
        }
    }

    fn cpu(self, percent: f64) -> Self {
        Self {
            cpu: Some(percent),
            ..self
        }
    }

    /// Nobody else writes meanwhile.
    fn disk(self, kibibytes: u64) -> Self {
        Self {
            disk: Some(kibibytes << 10),
            victim: Victim::Nobody,
            ..self
        }
    }

    fn same(self) -> Self {
        Self {
            victim: Victim::Same,
            ..self
        }
    }

    fn from(self, source: Source) -> Self {
        Self { source, ..self }
    }

    fn descriptors(self, count: u32) -> Self {
        Self {
            descriptors: Some(count),
            ..self
        }
    }

    fn limits(self, limits: &'static str) -> Self {
        Self { limits, ..self }
    }
}

/// How many rows share a bridge at most.
const SHARING: usize = 12;

/// The rows that share a bridge: they follow each other, want the same of it, and the last alone may stop it.
pub fn groups<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows.iter().copied() {
        match groups.last_mut() {
            Some(group)
                if group.len() < SHARING && group.iter().all(|other| other.goes_with(row)) =>
            {
                group.push(row);
            }
            _ => groups.push(vec![row]),
        }
    }
    groups
}

/// Every attack.
pub fn all() -> Vec<Row> {
    let mut rows = servers();
    rows.extend(schemas());
    rows.extend(remote());
    rows.extend(callers());
    rows.extend(callers_of_http2());
    rows
}

/// Stdio servers.
fn servers() -> Vec<Row> {
    vec![
        Row::flood("flood:ping").stopped(),
        Row::flood("flood:ping-texts"),
        Row::flood("flood:ping-same-id"),
        Row::flood("flood:ping-long-ids"),
        Row::flood("flood:ping-large"),
        Row::flood("flood-deaf:ping").stopped(),
        Row::flood("flood-deaf:unknown-requests"),
        Row::flood("flood-first:ping").first(),
        Row::flood("flood:unknown-requests"),
        Row::flood("flood:sampling"),
        Row::flood("flood:roots"),
        Row::flood("flood:elicitation"),
        Row::flood("flood:tasks"),
        Row::flood("flood:requests-odd-ids"),
        Row::flood("flood:list-changed").stopped(),
        Row::flood("flood:list-changed-params"),
        Row::flood("flood-first:list-changed").first(),
        Row::flood("flood:prompts-changed"),
        Row::flood("flood:resources-updated"),
        Row::flood("flood:cancelled"),
        Row::flood("flood:cancelled-odd-ids"),
        Row::flood("flood:cancelled-long-reasons"),
        Row::flood("flood:unknown-notifications"),
        Row::flood("flood:log-small"),
        Row::flood("flood:log-1mb"),
        Row::flood("flood:log-deep"),
        Row::flood("flood:progress"),
        Row::flood("flood:progress-odd-tokens"),
        Row::flood("flood:progress-long-words"),
        Row::flood("flood:stray-answers"),
        Row::flood("flood:stray-large-answers"),
        Row::flood("flood:duplicate-answers"),
        Row::flood("flood:stray-errors"),
        Row::flood("flood:batches"),
        Row::flood("flood:answer-and-request"),
        Row::junk("junk:lines").stopped(),
        Row::junk("junk-first:lines").first(),
        Row::junk("junk-first:no-newline").first(),
        Row::junk("junk-first:newlines").first(),
        Row::junk("junk:newlines"),
        Row::junk("junk:crlf"),
        Row::junk("junk:nul"),
        Row::junk("junk:no-newline"),
        Row::junk("junk:not-utf8"),
        Row::junk("junk:json-no-rpc"),
        Row::junk("junk:empty-objects"),
        Row::junk("junk:numbers"),
        Row::junk("junk:brackets"),
        Row::junk("junk:half-messages"),
        Row::junk("junk:tiny-arrays"),
        Row::junk("junk:long-line"),
        Row::junk("junk:long-method"),
        Row::junk("junk:escapes"),
        Row::junk("junk:bidi"),
        Row::junk("drip").kept(),
        Row::junk("stderr:lines").kept(),
        Row::junk("stderr:no-newline").kept(),
        Row::junk("stderr:newlines").kept(),
        Row::junk("stderr:nul").kept(),
        Row::junk("stderr:escapes").kept(),
        Row::junk("stderr:bidi").kept(),
        Row::list("list:pages-8mb").stopped(),
        Row::list("list-first:pages-8mb").first(),
        Row::list("list:pages-1mb-schemas"),
        Row::list("list:pages-31mb"),
        Row::list("list:pages-small"),
        Row::list("list-first:pages-small").first(),
        Row::list("list:pages-empty"),
        Row::list("list:cursor-same"),
        Row::list("list:cursor-cycle"),
        Row::list("list:cursor-large"),
        Row::list("list:cursor-odd"),
        Row::list("list:tools-10k-100kb"),
        Row::list("list:tools-200k"),
        Row::list("list:tools-one-name"),
        Row::list("list:tools-long-names"),
        Row::list("list:tools-unknown-members"),
        Row::list("list:tools-null"),
        Row::list("list:schema-deep-10k"),
        Row::list("list:schema-not-10k"),
        Row::list("list:schema-enum-1m"),
        Row::list("list:schema-properties-200k"),
        Row::list("list:schema-defs-50k"),
        Row::list("list:schema-inlining"),
        Row::list("list:output-schema-large"),
        Row::list("list-loop").stopped(),
        Row::list("list-drip"),
        Row::hello("hello:instructions-30mb"),
        Row::hello("hello:name-5mb"),
        Row::hello("hello:deep-capabilities"),
        Row::hello("hello:wide-capabilities"),
        Row::hello("hello:thousand-times"),
        Row::hello("hello:odd-version"),
        Row::hello("hello:error-large"),
        Row::hello("mute"),
        Row::hello("exits"),
        Row::hello("forks"),
        Row::flood("deaf").calls(20),
        Row::flood("closes"),
        Row::answer("answer:31mb-text"),
        Row::answer("answer:100mb-text"),
        Row::answer("answer:30mb-brackets"),
        Row::answer("answer:30mb-tiny-arrays").stopped(),
        Row::answer("answer:30mb-zeros"),
        Row::answer("answer:30mb-keys"),
        Row::answer("answer:1m-blocks"),
        Row::answer("answer:1m-odd-blocks"),
        Row::answer("answer:text-of-tiny-json"),
        Row::answer("answer:text-of-escapes"),
        Row::answer("answer:20mb-image"),
        Row::answer("answer:long-number"),
        Row::answer("answer:html-20mb"),
        Row::answer("answer-drip"),
        Row::answer("answer-twice"),
        Row::answer("progress").calls(10),
    ]
}

/// Schemas of stdio servers, and calls that are validated against them.
fn schemas() -> Vec<Row> {
    let modes = [
        "schema:allOf-28",
        "schema:allOf-property-28",
        "schema:not-property-24",
        "schema:if-property-20",
        "schema:mixed-property-18",
        "schema:anyOf-22",
        "schema:oneOf-24",
        "schema:if-then-else-20",
        "schema:not-26",
        "schema:dependentSchemas-26",
        "schema:unevaluatedProperties-24",
        "schema:mixed-18",
        "schema:patternProperties-26",
        "schema:items-26",
        "schema:contains-24",
        "schema:dynamicRef-26",
        "schema:anchors-26",
        "schema:self-recursive",
        "schema:patterns-x-keys",
        "schema:pattern-catastrophic",
        "schema:pattern-backreference",
        "schema:pattern-repeat",
        "schema:unique-nested",
        "schema:unique-numbers",
        "schema:enum-of-objects",
        "schema:oneOf-wide-x-items",
        "schema:contains-x-items",
        "schema:deep-10k",
        "schema:errors-many",
        "schema:coercion-wide",
        "schema:multiple-of",
        "schema:defaults-doubling",
        "schema:property-names",
    ];
    let mut rows: Vec<_> = modes.into_iter().map(Row::schema).collect();
    rows[0].is_stopped = true;
    rows
}

/// Servers behind URLs.
fn remote() -> Vec<Row> {
    vec![
        Row::http("get:ping").stopped(),
        Row::http("get:list-changed"),
        Row::http("get:sampling"),
        Row::http("get:log-1mb"),
        Row::http("get:cancelled"),
        Row::http("post:ping").stopped(),
        Row::http("post:unknown-requests"),
        Row::http("post:list-changed"),
        Row::http("post:progress"),
        Row::http("post:stray-large-answers"),
        Row::http("post:batches"),
        Row::http("get-raw:endless-line"),
        Row::http("get-raw:endless-event"),
        Row::http("get-raw:comments"),
        Row::http("get-raw:blank-lines"),
        Row::http("get-raw:ids"),
        Row::http("get-raw:retries"),
        Row::http("post-raw:endless-line"),
        Row::http("post-raw:endless-event"),
        Row::http("post-raw:comments"),
        Row::http("post-raw:carriage-returns"),
        Row::http("post-raw:fields"),
        Row::http("post-raw:event-names"),
        Row::http("post-raw:no-json"),
        Row::http("post-raw:deep"),
        Row::http("post-raw:not-utf8"),
        Row::http("get-storm").calls(0),
        Row::http("post-storm"),
        Row::http("head:endless"),
        Row::http("head:long-line"),
        Row::http("head:informational"),
        Row::http("head:early-hints"),
        Row::http("head:drip"),
        Row::http("head:no-head"),
        Row::http("head:cookies"),
        Row::http("body:endless"),
        Row::http("body:endless-text"),
        Row::http("body:drip"),
        Row::http("body:chunks-of-one"),
        Row::http("body:chunk-extensions"),
        Row::http("body:chunk-huge"),
        Row::http("body:trailers"),
        Row::http("body:html"),
        Row::http("body:error"),
        Row::http("body:brackets"),
        Row::http("body:tiny-arrays"),
        Row::http("body:gzip"),
        Row::http("body:upgrade"),
        Row::http("answer:30mb-brackets").calls(1).memory(32),
        Row::http("answer:30mb-tiny-arrays").calls(1).memory(32),
        Row::http("answer-events:30mb-zeros").calls(1).memory(32),
        Row::http("list:pages-8mb"),
        Row::http("list:pages-small"),
        Row::http("list:tools-200k"),
        Row::http("forget"),
        Row::http("sessions"),
        Row::http("redirect:307"),
        Row::http("redirect:302"),
        Row::sse("get:ping"),
        Row::sse("get:list-changed"),
        Row::sse("get:log-1mb"),
        Row::sse("get-raw:endless-line"),
        Row::sse("get-raw:endless-event"),
        Row::sse("get-raw:comments"),
        Row::sse("endpoint"),
        Row::sse("list:pages-8mb"),
        Row::openapi("document:properties-28"),
        Row::openapi("document:allOf-28"),
        Row::openapi("document:anyOf-28"),
        Row::openapi("document:wide-refs"),
        Row::openapi("document:refs-of-refs"),
        Row::openapi("document:cycle"),
        Row::openapi("document:path-cycle"),
        Row::openapi("document:operations-20k"),
        Row::openapi("document:shared-by-5k"),
        Row::openapi("document:text-31mb"),
        Row::openapi("document:text-200mb"),
        Row::openapi("document:deep"),
        Row::openapi("document:brackets"),
        Row::openapi("document:tiny-arrays"),
        Row::openapi("document:parameters-100k"),
        Row::openapi("document:yaml-laughs"),
        Row::openapi("document:yaml-long-alias"),
        Row::openapi("document:yaml-merges"),
        Row::openapi("document:yaml-tiny"),
        Row::openapi("document:swagger-shared"),
        Row::openapi("service:endless"),
        Row::openapi("service:tiny-arrays").memory(32),
        Row::openapi("service:brackets").memory(32),
        Row::openapi("service:drip"),
        Row::openapi("service:chunk-extensions"),
    ]
}

/// Callers over HTTP/1.1.
fn callers() -> Vec<Row> {
    vec![
        Row::caller("idle, 256 files", |aim| Box::pin(callers::idle(aim, 330))).descriptors(256),
        Row::caller("idle, many addresses", |aim| {
            Box::pin(callers::idle(aim, 330))
        })
        .descriptors(256)
        .from(Source::Many),
        Row::caller("idle, 3,000", |aim| Box::pin(callers::idle(aim, 3_000))),
        Row::caller("connections come and go", |aim| {
            Box::pin(callers::churn(aim))
        }),
        Row::caller("slow heads", |aim| Box::pin(callers::slow_heads(aim))).stopped(),
        Row::caller("slow heads, 256 files", |aim| {
            Box::pin(callers::slow_heads(aim))
        })
        .descriptors(256),
        Row::caller("slow bodies", |aim| {
            Box::pin(callers::slow_bodies(aim, 310, LOW))
        })
        .limits("requests_max = 300")
        .stopped(),
        Row::caller("slow bodies, many addresses", |aim| {
            Box::pin(callers::slow_bodies(aim, 310, LOW))
        })
        .limits("requests_max = 300")
        .from(Source::Many),
        Row::caller("slow bodies, no key", |aim| {
            Box::pin(callers::slow_bodies(aim, 310, ""))
        })
        .limits("requests_max = 300"),
        Row::caller("slow bodies, wrong key", |aim| {
            Box::pin(callers::slow_bodies(aim, 310, "wrong"))
        })
        .limits("requests_max = 300"),
        Row::caller("expect, no body", |aim| Box::pin(callers::expecting(aim)))
            .limits("requests_max = 250"),
        Row::caller("unread answers, 30 MB", |aim| {
            Box::pin(callers::unread_large(aim))
        })
        .memory(64)
        .stopped(),
        Row::caller("unread documents, no key", |aim| {
            Box::pin(callers::unread_documents(aim))
        }),
        Row::caller("all slots of a bridge", |aim| {
            Box::pin(callers::take_slots(aim))
        })
        .same()
        .stopped(),
        Row::caller("calls are hung up", |aim| Box::pin(callers::hang_up(aim))).same(),
        Row::caller("refused, no key", |aim| Box::pin(callers::refused(aim, ""))).disk(256),
        Row::caller("refused, wrong keys", |aim| {
            Box::pin(callers::refused(aim, "wrong-key-#"))
        })
        .disk(256),
        Row::caller("refused, made-up tokens", |aim| {
            Box::pin(callers::refused(
                aim,
                "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.x#",
            ))
        })
        .disk(256),
        Row::caller("refused, many addresses", |aim| {
            Box::pin(callers::refused(aim, "wrong-key-#"))
        })
        .disk(256)
        .from(Source::Many),
        Row::caller("wrong keys behind a proxy", |aim| {
            Box::pin(callers::refused(aim, "wrong-key-#"))
        })
        .from(Source::Shared),
        Row::caller("paths, no key", |aim| Box::pin(callers::paths(aim, ""))).disk(256),
        Row::caller("paths with a key", |aim| Box::pin(callers::paths(aim, LOW))),
        Row::caller("tools that do not exist", |aim| {
            Box::pin(callers::tools(aim))
        }),
        Row::caller("long request ids", |aim| {
            Box::pin(callers::headers(aim, |n| {
                format!("x-request-id: {n}{}\r\n", "r".repeat(8_000))
            }))
        }),
        Row::caller("odd request ids", |aim| {
            Box::pin(callers::headers(aim, |n| {
                format!("x-request-id: \u{202e}{n}\u{9b}2J\r\nuser-agent: \u{202e}{n}\r\n")
            }))
        }),
        Row::caller("traceparents", |aim| {
            Box::pin(callers::headers(aim, |n| {
                format!(
                    "traceparent: 00-{n:032x}-{n:016x}-01\r\ntracestate: {}\r\n",
                    "a=b,".repeat(500)
                )
            }))
        }),
        Row::caller("500 header lines", |aim| {
            Box::pin(callers::headers(aim, callers::lines))
        }),
        Row::caller("ranges", |aim| {
            Box::pin(callers::headers(aim, |_| {
                format!("range: bytes={}\r\n", "0-0,".repeat(2_000))
            }))
        }),
        Row::caller("methods", |aim| Box::pin(callers::methods(aim))),
        Row::caller("pipelined documents", |aim| {
            Box::pin(callers::pipelined(
                aim,
                b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
            ))
        }),
        Row::caller("pipelined /health", |aim| {
            Box::pin(callers::pipelined(
                aim,
                b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
            ))
        }),
        Row::caller("endless head", |aim| {
            Box::pin(callers::endless(
                aim,
                "GET / HTTP/1.1\r\nhost: localhost\r\n",
                |n| format!("x-{n}: {}\r\n", "y".repeat(1000)).into_bytes(),
            ))
        }),
        Row::caller("endless request line", |aim| {
            Box::pin(callers::endless(aim, "GET /", |_| vec![b'p'; 65_536]))
        }),
        Row::caller("garbage", |aim| {
            Box::pin(callers::endless(aim, "", |_| vec![0x16; 65_536]))
        }),
        Row::caller("chunks of a byte", |aim| {
            Box::pin(callers::chunked(aim, |_| b"1\r\n \r\n".repeat(5_000)))
        }),
        Row::caller("chunk extensions", |aim| {
            Box::pin(callers::chunked(aim, |n| {
                if n == 1 {
                    b"1".to_vec()
                } else {
                    b";e=".repeat(20_000)
                }
            }))
        }),
        Row::caller("trailers", |aim| {
            Box::pin(callers::chunked(aim, |n| {
                if n == 1 {
                    b"2\r\n{}\r\n0\r\n".to_vec()
                } else {
                    b"x-t: y\r\n".repeat(5_000)
                }
            }))
        }),
        Row::caller("body: 10 MB of brackets", |aim| {
            Box::pin(callers::bodies(
                aim,
                "/healthy/echo",
                "[".repeat(10_000_000),
            ))
        }),
        Row::caller("body: 10 MB of tiny items", |aim| {
            let body = format!(r#"{{"message":[{}0]}}"#, "0,".repeat(5_000_000));
            Box::pin(callers::bodies(aim, "/healthy/echo", body))
        }),
        Row::caller("body: 10 MB of arrays", |aim| {
            let body = format!(r#"{{"message":"hi","x":[{}0]}}"#, "[],".repeat(3_300_000));
            Box::pin(callers::bodies(aim, "/hostile/attack", body))
        }),
        Row::caller("body: 500,000 keys", |aim| {
            let keys: Vec<_> = (0..500_000).map(|n| format!(r#""k{n}":{{}},"#)).collect();
            let keys = keys.concat();
            Box::pin(callers::bodies(
                aim,
                "/healthy/echo",
                format!(r#"{{{keys}"message":"hi"}}"#),
            ))
        }),
        Row::caller("body: a number of 10 MB", |aim| {
            Box::pin(callers::bodies(
                aim,
                "/healthy/echo",
                format!(r#"{{"message":{}}}"#, "9".repeat(9_900_000)),
            ))
        }),
        Row::caller("body: 10 MB of escapes", |aim| {
            Box::pin(callers::bodies(
                aim,
                "/healthy/echo",
                format!(r#"{{"message":"{}"}}"#, "\\u0000".repeat(1_600_000)),
            ))
        }),
    ]
}

/// Callers over HTTP/2.
fn callers_of_http2() -> Vec<Row> {
    vec![
        Row::http2("rapid reset", |aim| Box::pin(http2::rapid_reset(aim))).stopped(),
        Row::http2("rapid reset of calls", |aim| {
            Box::pin(http2::rapid_reset_calls(aim))
        }),
        Row::http2("windows of no bytes", |aim| {
            Box::pin(http2::closed_windows(aim))
        }),
        Row::http2("windows of a byte", |aim| {
            Box::pin(http2::tiny_windows(aim))
        }),
        Row::http2("endless headers", |aim| Box::pin(http2::continuation(aim))),
        Row::http2("header bomb", |aim| Box::pin(http2::header_bomb(aim))),
        Row::http2("pings", |aim| Box::pin(http2::pings(aim))),
        Row::http2("settings", |aim| Box::pin(http2::settings(aim))),
        Row::http2("data without bytes", |aim| Box::pin(http2::empty_data(aim))),
        Row::http2("bodies that do not end", |aim| {
            Box::pin(http2::open_bodies(aim))
        }),
    ]
}
