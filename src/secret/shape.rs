//! [`is_token`]: whether a text that an external server calls a secret looks like one.
//!
//! Servers choose the tokens that they issue. A token that is a word, an address, a date, or a
//! piece of JSON would be removed from every response, including those of other servers. So an
//! external token is looked for only if it looks like none of these: its sequence of letters and
//! digits must be unusual for any language.

/// The shortest token to look for, in bytes.
const BYTES_MIN: usize = 16;
/// The longest token to look for, in bytes. Headers cannot contain more.
const BYTES_MAX: usize = 16 << 10;
/// The minimum number of different characters.
const DISTINCT_MIN: usize = 8;
/// The minimum number of unusual pairs.
const ODD_MIN: usize = 6;
/// At least one of this many pairs must be unusual.
const ODD_SHARE: usize = 5;

/// For each letter, the letters that often follow it in words and in names of programs. Other
/// letters follow it in only three percent of the pairs.
const FOLLOWERS: [&str; 26] = [
    "bcdfgiklmnprstuvwxy",
    "aeijlorsuy",
    "acehikloprstu",
    "adegilorsuy",
    "abcdefgilmnopqrstvwxy",
    "aefilorstuy",
    "aehilnorsu",
    "aeiortu",
    "abcdefglmnoprstvxz",
    "e",
    "eis",
    "adeilostuy",
    "abeilmopsu",
    "acdefgiklnopstuvy",
    "abcdfgiklmnoprstuvw",
    "adehiloprstuy",
    "u",
    "acdefgiklmnoprstuvy",
    "acehiklmopstuwy",
    "acdefhilmoprstuwy",
    "abcdefgilmnprst",
    "aeio",
    "aehinors",
    "aceipt",
    "enpst",
    "e",
];

/// Whether a text has the shape of a token: at least 16 bytes of visible ASCII without quotes and
/// backslashes, not a URL, and enough character pairs that do not occur in words and numbers.
pub(super) fn is_token(text: &str) -> bool {
    let is_written_so = |byte: u8| byte.is_ascii_graphic() && !b"\"'`\\<>{}".contains(&byte);
    if !(BYTES_MIN..=BYTES_MAX).contains(&text.len())
        || !text.bytes().all(is_written_so)
        || text.contains("://")
    {
        return false;
    }
    let distinct: u128 = text.bytes().fold(0, |seen, byte| seen | 1 << (byte & 127));
    let (mut pairs, mut odd) = (0, 0);
    for pair in text.as_bytes().windows(2) {
        let [first, second] = pair else { continue };
        if first.is_ascii_alphanumeric() && second.is_ascii_alphanumeric() {
            pairs += 1;
            odd += usize::from(is_odd(*first, *second));
        }
    }
    distinct.count_ones() as usize >= DISTINCT_MIN && odd >= ODD_MIN && odd * ODD_SHARE >= pairs
}

/// Whether two characters rarely follow each other: a letter and a digit, or two letters that do
/// not occur together in words.
fn is_odd(first: u8, second: u8) -> bool {
    if first.is_ascii_digit() != second.is_ascii_digit() {
        return true;
    }
    let place = usize::from(first.to_ascii_lowercase().wrapping_sub(b'a'));
    let followers = FOLLOWERS.get(place);
    followers.is_some_and(|letters| !letters.as_bytes().contains(&second.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_words() {
        for token in [
            // JSON Web Tokens, GitHub, Slack, OpenAI, AWS, Google, Microsoft.
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.s1gnAtur3-0f-1t-_x",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "gho_zQ9XkVbn2LwTqYrJ4Hs8DfGp1MxNcA3vZt0e",
            "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
            "sk-proj-Zk39vQx7RwT2bLmN8sYcJ4fHdG1aE6uP",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "ya29.a0AfH6SMBx9Qk3vJ2LwTzYrN8HsDfGp1MxNcA",
            "1//0gLu8abcDEFghiJKL-9xyzMNOpq",
            "M.R3_BAY.-CVrT!x9*kQz2LwYvJ4Hs8$$",
            // Hexadecimal, base64, base32, UUIDs.
            "0123456789abcdef0123456789abcdef",
            "d41d8cd98f00b204e9800998ecf8427e",
            "q83vEjRWeJCrze8SNFZ4kA==",
            "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "550e8400-e29b-41d4-a716-446655440000",
            "9F1C2B7E-4D3A-4C58-9E60-7B1D2F3A4C5D",
            "qkzjvhwpxmtybcrdfgnlqwzx",
        ] {
            assert!(is_token(token), "{token} is no token");
        }
        for word in [
            "",
            "hunter2",
            "s3cr3t-t0k3n",
            "create_pull_request",
            "get_file_contents_v2",
            "getUserByEmailAddress",
            "XMLHttpRequestEventTarget",
            "CREATE_PULL_REQUEST_REVIEW",
            "https://example.com/",
            "https://example.com/0123456789abcdef0123456789abcdef",
            "2026-11-28T02:05:14.123456Z",
            "20261128T020514Z",
            "2026-11-28/2026-12-01",
            "1234567890123456789012345678",
            "192.168.100.200:8080",
            "\"type\":\"text\"",
            "{\"jsonrpc\":\"2.0\",\"id\":1}",
            "application/json",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "content-type:text/html;charset=utf-8",
            "x86_64-unknown-linux-gnu",
            "gpt-4o-mini-2024-07-18",
            "antidisestablishmentarianism",
            "Donaudampfschifffahrtsgesellschaft",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "a1a1a1a1a1a1a1a1a1a1a1a1",
            "                                ",
            // A token followed by characters that a header cannot contain.
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a https://",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a\nhttps://example.com/",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a\\nhttps:",
            "ghp_16C7e42F292c6912E7710c838347Ae178ä4a",
        ] {
            assert!(!is_token(word), "{word} is a token");
        }
        assert!(!is_token(&"k9X2".repeat(5_000)), "no header carries it");
    }
}
