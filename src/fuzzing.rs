//! What the fuzz targets in `fuzz/` call; built for them alone.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    reply::Reply,
    schema::{ArgumentSchema, Effort, Habits, counted, publish_input, publish_output},
};

/// Any JSON as a server's schema: publishing ends, and gives JSON that the publisher itself takes
/// without a word.
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

/// Any JSON as a schema and any bytes as a body, apart by the first NUL: the body is accepted or
/// refused, and what was accepted once is accepted again as it is.
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

/// Time that reading, compiling and checking may take beside its counted steps.
const UNCOUNTED: Duration = Duration::from_millis(300);
/// Time of one counted step, in nanoseconds: ten times what it takes without instrumentation.
const STEP_NANOS: u64 = 200;

/// The same input as [`arguments`], whose work is counted: what takes time takes steps, so that no input
/// gets around the budget. One that takes time and no steps is a finding.
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

/// Fails when work took longer than its steps allow.
fn check_cost(what: &str, took: Duration, steps: u64) {
    let allowed = UNCOUNTED + Duration::from_nanos(steps.saturating_mul(STEP_NANOS));
    assert!(took <= allowed, "{what} took {took:?} and {steps} steps");
}

/// Any JSON as a result: it becomes a body or an error.
pub fn reply(data: &[u8]) {
    let Ok(result) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(reply) = Reply::from_result(result, false) {
        assert!(serde_json::from_slice::<Value>(&reply.body).is_ok());
    }
}

/// Any bytes as an event stream: the events do not depend on how the bytes come, and none is larger than
/// it may be (an invalid byte becomes a character of three).
pub fn events(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let whole = crate::mcp::frames_of(&[stream]);
    let chunks: Vec<&[u8]> = stream.chunks(usize::from(size).max(1)).collect();
    assert_eq!(whole, crate::mcp::frames_of(&chunks));
}

/// Any bytes as the output of a server on stdio: what is kept of them is bounded, the messages do not
/// depend on how the bytes come, and a ping is never answered more often than it was sent.
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

/// Any bytes as the headers of a request, a line each (`name: value`): they are read without a panic,
/// and nobody but the holder of the one key is anybody.
pub fn identity(data: &[u8]) {
    crate::auth::fuzz_headers(data);
}
