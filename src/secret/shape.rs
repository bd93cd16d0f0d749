//! [`is_token`]: whether a text that a stranger calls a secret can be one.
//!
//! The servers that give us tokens choose them. A token that is a word, an address, a date, or a piece of
//! JSON would be taken out of every answer, also of other servers. So a token of theirs is looked for
//! only if it reads like none of these: its letters and digits follow each other as in no language.

/// The shortest token that is looked for, in bytes.
const BYTES_MIN: usize = 16;
/// The longest one, in bytes: no header carries more.
const BYTES_MAX: usize = 16 << 10;
/// How many different characters it has at least.
const DISTINCT_MIN: usize = 8;
/// How many odd pairs it has at least.
const ODD_MIN: usize = 6;
/// At least one pair of so many is odd.
const ODD_SHARE: usize = 5;

/// The letters that often follow each letter in words and in names of programs; all others follow it
/// in three pairs of a hundred.
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

/// Whether a text has the shape of a token: 16 bytes or more of visible ASCII without quotes and
/// backslashes, no URL, and enough pairs of characters that no word or number has.
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

/// Whether two characters seldom follow each other: a letter and a digit, or two letters of no word.
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
            // A token, and what would not go into a header.
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
