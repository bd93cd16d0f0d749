//! Which sealed texts can be opened, and which cannot.

use proptest::prelude::*;

use super::*;

const PLACE: ValueLocation<'_> = ValueLocation {
    kind: "account",
    workspace: "default",
    bridge: "linear",
    subject: "ann@example.com",
};

fn key(text: &str) -> Secret {
    Secret::new(text.repeat(8))
}

fn vault(current: &str, old: &[&str]) -> Vault {
    let old: Vec<_> = old.iter().map(|text| key(text)).collect();
    Vault::new(&key(current), &old)
}

#[test]
fn what_was_sealed_opens_at_its_place() {
    let vault = vault("a", &[]);
    let sealed = vault.seal(&PLACE, "s3cret");
    assert_eq!(vault.open(&PLACE, &sealed).unwrap().expose(), "s3cret");
    assert!(vault.is_current(&sealed));
    assert_ne!(
        sealed,
        vault.seal(&PLACE, "s3cret"),
        "a nonce is never used twice"
    );
    assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
    assert_eq!(
        vault
            .open(&PLACE, &vault.seal(&PLACE, ""))
            .unwrap()
            .expose(),
        ""
    );
}

/// Sealed with libsodium according to the description of the format. Every later release must be
/// able to open it.
#[test]
fn the_format_stays() {
    let vault = vault("k", &[]);
    assert_eq!(vault.ids(), ["9e99a5a088ce8b67"]);
    let sealed = "AZ6ZpaCIzotnAAECAwQFBgcICQoLDA0ODxAREhMUFRYX3qevZyXOd8KS8AMHoffROtCHSVk";
    assert_eq!(vault.open_text(&PLACE, sealed).unwrap().expose(), "kept");
}

#[test]
fn a_row_that_was_swapped_does_not_open() {
    let vault = vault("a", &[]);
    let sealed = vault.seal(&PLACE, "s3cret");
    let elsewhere = [
        ValueLocation {
            kind: "login",
            ..PLACE
        },
        ValueLocation {
            workspace: "other",
            ..PLACE
        },
        ValueLocation {
            bridge: "notion",
            ..PLACE
        },
        ValueLocation {
            subject: "bob@example.com",
            ..PLACE
        },
        ValueLocation {
            subject: "",
            ..PLACE
        },
        // The same characters, split at another position.
        ValueLocation {
            workspace: "defaultlinear",
            bridge: "",
            ..PLACE
        },
        ValueLocation {
            bridge: "linearann",
            subject: "@example.com",
            ..PLACE
        },
    ];
    for place in elsewhere {
        assert_eq!(
            vault.open(&place, &sealed),
            Err(DecryptError::Tampered),
            "{place:?}"
        );
    }
}

#[test]
fn a_row_that_was_cut_or_changed_does_not_open() {
    let vault = vault("a", &[]);
    let sealed = vault.seal(&PLACE, "s3cret");
    for length in 0..sealed.len() {
        let result = vault.open(&PLACE, &sealed[..length]);
        let expected = if length < 33 {
            DecryptError::Malformed
        } else {
            DecryptError::Tampered
        };
        assert_eq!(result, Err(expected), "{length}");
    }
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert!(vault.open(&PLACE, &changed).is_err(), "{place}");
    }
    let longer = [&sealed[..], b"x"].concat();
    assert_eq!(vault.open(&PLACE, &longer), Err(DecryptError::Tampered));
    for text in ["", "plain", "not base64!", "AAAA"] {
        assert_eq!(
            vault.open_text(&PLACE, text),
            Err(DecryptError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn a_changed_key_opens_with_the_old_one_beside_it() {
    let before = vault("a", &[]);
    let sealed = before.seal(&PLACE, "s3cret");
    let id = before.ids().remove(0);

    let without = vault("b", &["c"]).open(&PLACE, &sealed);
    assert_eq!(without, Err(DecryptError::OtherKey { id: id.clone() }));
    assert!(without.unwrap_err().to_string().contains(&id));

    let with = vault("b", &["c", "a"]);
    assert_eq!(with.open(&PLACE, &sealed).unwrap().expose(), "s3cret");
    assert!(!with.is_current(&sealed));
    let again = with.seal(&PLACE, "s3cret");
    assert!(with.is_current(&again));
    assert!(before.open(&PLACE, &again).is_err());
}

#[test]
fn the_line_break_of_a_file_is_not_part_of_the_key() {
    let file = Vault::new(&Secret::new(format!("{}\n", key("a").expose())), &[]);
    assert_eq!(file.ids(), vault("a", &[]).ids());
}

#[test]
fn nothing_shows_the_key() {
    let vault = vault("a", &["b"]);
    let shown = format!("{vault:?}");
    assert_eq!(shown, format!("Vault {{ keys: {:?} }}", vault.ids()));
    assert!(!shown.contains("aaaa") && !shown.contains("bbbb"));
}

#[test]
fn tickets_are_texts_for_urls() {
    let vault = vault("a", &[]);
    let ticket = vault.seal_text(&PLACE, "ann");
    assert!(
        ticket
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
    );
    assert!(vault.is_current_text(&ticket) && !vault.is_current_text("plain"));
    assert_eq!(vault.open_text(&PLACE, &ticket).unwrap().expose(), "ann");
}

proptest! {
    #[test]
    fn any_text_comes_back(text in ".*", subject in ".*") {
        let vault = vault("a", &[]);
        let place = ValueLocation { subject: &subject, ..PLACE };
        let opened = vault.open(&place, &vault.seal(&place, &text)).unwrap();
        prop_assert_eq!(opened.expose(), text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        prop_assert!(vault("a", &[]).open(&PLACE, &bytes).is_err());
    }
}
