//! [`MessageRef`]: the chat message that a call was made for. Pure.

use http::{HeaderMap, HeaderName};

/// The chat ID, as Open WebUI forwards it (`ENABLE_FORWARD_USER_INFO_HEADERS`, or the headers of
/// the connection).
const CHAT_ID: HeaderName = HeaderName::from_static("x-openwebui-chat-id");
/// The ID of the assistant's message in the chat.
const MESSAGE_ID: HeaderName = HeaderName::from_static("x-openwebui-message-id");

/// The maximum length of an ID. Open WebUI's have 36 characters.
const ID_BYTES_MAX: usize = 64;

/// The chat message for the lines. The values are safe as segments of a URL path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef {
    /// The chat ID.
    pub chat: String,
    /// The message ID.
    pub message: String,
}

impl MessageRef {
    /// The place that the headers name; `None` if they do not name a usable one. A temporary chat
    /// (`local:…`) has none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            chat: id(headers, &CHAT_ID)?,
            message: id(headers, &MESSAGE_ID)?,
        })
    }
}

/// The ID in a header that was sent exactly once.
fn id(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok()?.trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_id = (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain);
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_ids_name_a_place() {
        let of = |chat: &str, message: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CHAT_ID, HeaderValue::from_str(chat).unwrap());
            headers.insert(MESSAGE_ID, HeaderValue::from_str(message).unwrap());
            MessageRef::of(&headers)
        };
        let id = "004a165f-1c0b-4c52-9f7e-0d7b8e1d2f3a";
        assert_eq!(of(id, " m_1 ").unwrap().message, "m_1");
        let too_long = "a".repeat(65);
        for odd in [
            "",
            " ",
            "{{CHAT_ID}}",
            "local:x",
            "channel:x",
            "../../users",
            "a/b",
            "a%2fb",
            "a?b",
            "a b",
            "a\tb",
            "http://10.0.0.1",
            &too_long,
        ] {
            assert_eq!(of(odd, id), None, "{odd}");
            assert_eq!(of(id, odd), None, "{odd}");
        }
        let mut twice = HeaderMap::new();
        twice.append(CHAT_ID, HeaderValue::from_static("one"));
        twice.append(CHAT_ID, HeaderValue::from_static("two"));
        twice.insert(MESSAGE_ID, HeaderValue::from_static("m"));
        assert_eq!(MessageRef::of(&twice), None);
        assert_eq!(MessageRef::of(&HeaderMap::new()), None);
    }
}
