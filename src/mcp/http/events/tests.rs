//! Tests of event streams, whole and in pieces.

use futures::{StreamExt as _, executor::block_on, stream};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::mcp::AnswerLimits;

/// Reads a body that arrives in these pieces.
fn read(pieces: Vec<Vec<u8>>, bytes_max: usize) -> Vec<StreamItem> {
    let pieces = pieces
        .into_iter()
        .map(|piece| Ok::<_, ()>(Bytes::from(piece)));
    let unasked = UnsolicitedMessages::new(AnswerLimits {
        result_bytes_max: bytes_max,
        tools_bytes_max: bytes_max,
    });
    unasked.expect(bytes_max);
    block_on(frames(stream::iter(pieces), unasked).collect::<Vec<_>>())
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// Returns the type, data and id of the events; `!` for one that is too large.
fn shown(frames: &[StreamItem]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| match frame {
            StreamItem::Event(event) => format!("{}|{}|{}", event.event, event.data, event.id),
            StreamItem::TooLarge(_) => "!".to_owned(),
        })
        .collect()
}

#[test]
fn events_as_servers_write_them() {
    let cases: [(&[u8], &[&str]); 14] = [
        (b"data: a\n\n", &["message|a|"]),
        (
            b"data: a\r\n\r\ndata: b\r\rdata:c\n\n",
            &["message|a|", "message|b|", "message|c|"],
        ),
        (
            b"event: endpoint\ndata: /messages?x=1\n\n",
            &["endpoint|/messages?x=1|"],
        ),
        (
            b"id: 7\ndata:\n\ndata: a\n\n",
            &["message||7", "message|a|7"],
        ),
        (b"data: a\ndata: b\n\n", &["message|a\nb|"]),
        (b": ping\n\n: ping\n\ndata: a\n\n", &["message|a|"]),
        (b": ping\ndata: a\n: ping\n\n", &["message|a|"]),
        (b"\xef\xbb\xbfdata: a\n\n", &["message|a|"]),
        (
            b"data: \xff\xfe\n\ndata: b\n\n",
            &["message|\u{fffd}\u{fffd}|", "message|b|"],
        ),
        ("data: é👍\n\n".as_bytes(), &["message|é👍|"]),
        (b"data: a", &[]),
        (b"data: a\n", &[]),
        (b"\n\n\r\r\n\n", &[]),
        (
            b"data: 0123456789012345678901234567890123456789\n\ndata: b\n\n",
            &["!", "message|b|"],
        ),
    ];
    for (body, expected) in cases {
        let whole = read(vec![body.to_vec()], 40);
        assert_eq!(shown(&whole), expected, "{}", String::from_utf8_lossy(body));
        let bytes = body.iter().map(|byte| vec![*byte]).collect();
        assert_eq!(read(bytes, 40), whole, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_refused_event_still_tells_its_id() {
    let long = "x".repeat(500);
    let cases = [
        (
            format!(r#"{{"jsonrpc":"2.0","id":12,"result":"{long}"}}"#),
            Some(12),
        ),
        (
            format!(r#"{{"jsonrpc": "2.0", "id": 12, "result": "{long}"}}"#),
            Some(12),
        ),
        (
            format!(r#"{{"result":"{long}","jsonrpc":"2.0","id":13}}"#),
            Some(13),
        ),
        (
            format!(r#"{{"result":"{long}","id":13,"jsonrpc":"2.0"}}"#),
            None,
        ),
        (
            format!(r#"{{"jsonrpc":"2.0","id":"a","result":"{long}"}}"#),
            None,
        ),
    ];
    for (message, id) in cases {
        let body = format!("event: message\ndata: {message}\n\n");
        match read(vec![body.into_bytes()], 100).as_slice() {
            [StreamItem::TooLarge(ends)] => assert_eq!(ends.id(), id, "{message}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_large_event_takes_linear_time() {
    let mut pieces = vec![b"data: ".to_vec()];
    pieces.extend(vec![vec![b'x'; 16 << 10]; 1024]);
    pieces.push(b"\n\n".to_vec());
    let begun = std::time::Instant::now();
    let frames = read(pieces, 32 << 20);
    assert!(
        matches!(frames.as_slice(), [StreamItem::Event(event)] if event.data.len() == 16 << 20)
    );
    // A quadratic parser needs minutes.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

/// Typical lines of event streams, so that random tests find more than noise.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"data: ".to_vec()),
        Just(b"data".to_vec()),
        Just(b"event: x".to_vec()),
        Just(b"id: 1".to_vec()),
        Just(b"retry: 5".to_vec()),
        Just(b":".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just("é👍".as_bytes().to_vec()),
        vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn chunks_never_change_the_events(lines in vec(line(), 0..60), cuts in vec(1_usize..9, 0..200)) {
        let body: Vec<u8> = lines.concat();
        let whole = read(vec![body.clone()], 64);
        let mut pieces = Vec::new();
        let mut rest = body.as_slice();
        for cut in cuts.iter().cycle().take(body.len()) {
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        pieces.push(rest.to_vec());
        prop_assert_eq!(read(pieces, 64), whole.clone());
        for frame in whole {
            if let StreamItem::Event(event) = frame {
                // The replacement of an invalid byte takes three bytes.
                prop_assert!(event.data.len() <= 3 * 64);
            }
        }
    }

    #[test]
    fn any_bytes_are_read(pieces in vec(vec(any::<u8>(), 0..80), 0..20), bytes_max in 0_usize..100) {
        let whole = read(vec![pieces.concat()], bytes_max);
        prop_assert_eq!(read(pieces, bytes_max), whole);
    }
}

#[test]
fn large_data_comes_whole_and_in_its_place() {
    let (large, half) = ("ä".repeat(400_000), "x".repeat(200_000));
    let body = format!(
        "id: 1\ndata: small\n\nid: 2\nevent: message\ndata: {large}\n\ndata: after\n\n\
         data: {half}\ndata: {half}\n\ndata:{large}\nevent: other\n\n"
    );
    let joined = format!("{half}\n{half}");
    let expected = [
        ("message", "small"),
        ("message", &large),
        ("message", "after"),
        ("message", &joined),
        ("other", &large),
    ];
    for size in [body.len(), 65_536, 1_000] {
        let pieces = body.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        let frames = read(pieces, 2_000_000);
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| match frame {
                StreamItem::Event(event) => (event.event.as_str(), event.data.as_str()),
                StreamItem::TooLarge(_) => panic!("too large"),
            })
            .collect();
        assert!(seen == expected, "in pieces of {size} bytes");
    }
}
