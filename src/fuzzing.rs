//! The functions that the fuzz targets in `fuzz/` call. They are built only for the fuzz targets.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    reply::Reply,
    schema::{ArgumentSchema, Effort, Habits, counted, publish_input, publish_output},
};

/// Publishes any JSON as the schema of a server. Publishing must end, and must give an object without `$defs`.
pub fn publish(data: &[u8]) {
    let Ok(schema) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let published = publish_input(&schema, "tool", Habits::NATIVE);
    assert!(published.schema.is_object(), "{}", published.schema);
    let text = published.schema.to_string();
    assert!(!text.contains("\"$defs\""), "{text}");
    publish_output(&schema, "tool");
}

/// Checks any bytes as a body against any JSON as a schema; the first NUL separates them. The body is accepted or
/// refused. An accepted body must be accepted again without changes.
pub fn arguments(data: &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let (Some(schema), Some(body)) = (parts.next(), parts.next()) else {
        return;
    };
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else {
        return;
    };
    let (compiled, _warnings) =
        ArgumentSchema::compile(&schema, &mut u64::MAX.clone(), Habits::NATIVE);
    if let Ok(accepted) = compiled.accept(body, Effort::Full) {
        let again = serde_json::to_vec(&accepted).unwrap_or_default();
        assert!(
            compiled.accept(&again, Effort::Full).is_ok(),
            "{schema} took {body:?} once"
        );
    }
}

/// The time that reading, compiling and checking may take in addition to the counted steps.
const UNCOUNTED: Duration = Duration::from_millis(300);
/// The time allowed for one counted step, in nanoseconds: ten times its time without instrumentation.
const STEP_NANOS: u64 = 200;

/// Takes the same input as [`arguments`] and compares the time with the counted steps. Work that takes time must
/// count steps, so that no input can avoid the budget.
pub fn costs(data: &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let (Some(schema), Some(body)) = (parts.next(), parts.next()) else {
        return;
    };
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else {
        return;
    };
    let mut steps_left = u64::MAX;
    let began = Instant::now();
    let (compiled, _warnings) = ArgumentSchema::compile(&schema, &mut steps_left, Habits::NATIVE);
    check_cost("compiling", began.elapsed(), u64::MAX - steps_left);
    for effort in [Effort::Light, Effort::Full] {
        let began = Instant::now();
        let (_outcome, steps) = counted(|| compiled.accept(body, effort));
        check_cost("checking", began.elapsed(), steps);
    }
    let began = Instant::now();
    let (_published, steps) = counted(|| {
        (
            publish_input(&schema, "tool", Habits::NATIVE),
            publish_output(&schema, "tool"),
        )
    });
    check_cost("publishing", began.elapsed(), steps);
}

/// Fails if work took longer than its steps allow.
fn check_cost(what: &str, took: Duration, steps: u64) {
    let allowed = UNCOUNTED + Duration::from_nanos(steps.saturating_mul(STEP_NANOS));
    assert!(took <= allowed, "{what} took {took:?} and {steps} steps");
}

/// Reads any JSON as the result of a tool. It must become a JSON body or an error.
pub fn reply(data: &[u8]) {
    let Ok(result) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(reply) = Reply::from_result(result, false) {
        assert!(serde_json::from_slice::<Value>(&reply.body).is_ok());
    }
}

/// Reads any bytes as an event stream. The events must not depend on how the bytes are split, and an event must
/// stay below the size limit (an invalid byte becomes a character of three bytes).
pub fn events(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let whole = crate::mcp::frames_of(&[stream]);
    let chunks: Vec<&[u8]> = stream.chunks(usize::from(size).max(1)).collect();
    assert_eq!(whole, crate::mcp::frames_of(&chunks));
}

/// Reads any bytes as the output of a server on stdio. The buffered bytes must stay below the limit, the messages
/// must not depend on how the bytes are split, and each ping must be answered at most once.
pub fn stdio(data: &[u8]) {
    let Some((&size, output)) = data.split_first() else {
        return;
    };
    let whole = crate::mcp::stdio_of(output, usize::from(u16::MAX));
    let pieces = crate::mcp::stdio_of(output, usize::from(size).max(1));
    assert_eq!(whole.messages, pieces.messages);
    assert_eq!(whole.owed, pieces.owed);
    for seen in [whole, pieces] {
        assert!(
            seen.kept_bytes_max <= crate::mcp::STDIO_KEPT_MAX,
            "{seen:?}"
        );
        let lines = output.iter().filter(|&&byte| byte == b'\n').count();
        assert!(seen.owed + seen.messages.len() <= lines, "{seen:?}");
    }
}

/// Reads any bytes as the headers of a request, one on each line (`name: value`). Reading must not panic, and only
/// a request with the configured key may get an identity.
pub fn identity(data: &[u8]) {
    crate::auth::fuzz_headers(data);
}
