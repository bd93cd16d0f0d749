//! The secrets that are planted: one line each. Whoever adds a kind of secret to the program adds a line here, and
//! puts it to use in the configuration of `mod.rs` or sends it along there.

/// A secret.
pub struct Planted {
    /// What `<NAME>` stands for in files, and the name of the variable.
    pub name: &'static str,
    /// How it gets in.
    pub place: Place,
    /// The text: nobody writes it by chance, nor two thirds of it.
    pub text: &'static str,
}

/// How a secret gets in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It stands in the file itself.
    Literal,
    /// As a variable of our environment.
    Environment,
    /// As a variable of the `.env` beside the file.
    Dotenv,
    /// As a file, for `${file:NAME}`.
    File,
    /// It stands in the file that is loaded later.
    Reload,
    /// As a part of something that the test puts together.
    Part,
}

const fn planted(name: &'static str, place: Place, text: &'static str) -> Planted {
    Planted { name, place, text }
}

/// All of them.
pub const PLANTED: &[Planted] = &[
    // Of callers.
    planted("OPS_KEY", Place::Literal, "oq7/Ops+Key=93-Zw"),
    planted("DEV_KEY", Place::Environment, "dK2_developer-8Xc.41"),
    planted("CHAT_KEY", Place::File, "cH9~chat-key-77Qp-zeta"),
    planted(
        "WEBUI_SECRET_KEY",
        Place::Environment,
        "w8 \"webui\" se\\cret/kéy=5, of 32 bytes",
    ),
    planted(
        "JWT_SECRET",
        Place::Dotenv,
        "jW3 signing&<secret>=6 of 32 bytes or more",
    ),
    planted(
        "GATEWAY_SECRET",
        Place::Environment,
        "gA5\\gate way\\s3cret/2",
    ),
    // Of databases.
    planted("DB_PASSWORD", Place::Part, "dB6@data:base/pass#w0rd"),
    planted(
        "BRIDGE_SECRET_KEY",
        Place::Environment,
        "bS1-key-of-the-vault/29+of=32 characters-or-more",
    ),
    planted("REDIS_PASSWORD", Place::Part, "rE1+redis=pass/w0rd-81"),
    planted(
        "DIRECTORY_PASSWORD",
        Place::Literal,
        "dI3-directory-password-5",
    ),
    // Of the collector of traces.
    planted(
        "COLLECTOR_TOKEN",
        Place::Literal,
        "cT4-token-of-the-collector-66",
    ),
    // Of servers behind a URL.
    planted(
        "REMOTE_BEARER",
        Place::Environment,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.s1gnAtur3-0f-1t-_x",
    ),
    planted("BASIC_PASSWORD", Place::Part, "bA4:basic pass%w0rd"),
    planted("REMOTE_API_KEY", Place::Literal, "aP7-remote-api-key-31"),
    planted(
        "ODD_HEADER",
        Place::Environment,
        "oH6 odd {header} \"value\" 12",
    ),
    planted("URL_TOKEN", Place::Environment, "uR2-url-t0ken&90=Lm"),
    planted("URL_PASSWORD", Place::Part, "uP8:url/password@12"),
    planted("URL_PATH_KEY", Place::Environment, "pA0thS3cr3tXyZ1234567"),
    // Of programs.
    planted("STDIO_TOKEN", Place::Environment, "sT3-stdio-token-55Hh"),
    planted(
        "STDIO_SECRET",
        Place::Literal,
        "sS6-stdio literal <secret> 27",
    ),
    planted("NEXT_SECRET", Place::Reload, "nX4-after-the-reload-58-Kd"),
    planted("DSN_PASSWORD", Place::Literal, "dS9-dsn-password-64"),
    planted("PART_TOKEN", Place::Dotenv, "pT1-part-of-a-value-39"),
    planted("PIN_PASSWORD", Place::Environment, "730051928846193"),
    planted("UNUSED_API_KEY", Place::Environment, "uN5-inherited-key-83"),
    planted(
        "KEY_FILE",
        Place::File,
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFplanted1\nAASCBKcwggSjAgEAAoIBAQC7planted2\n-----END PRIVATE KEY-----",
    ),
];

/// The text of one.
pub fn text_of(name: &str) -> &'static str {
    let found = PLANTED.iter().find(|it| it.name == name);
    found.unwrap_or_else(|| panic!("no secret {name}")).text
}

/// A text with secrets in place of `<NAME>`, and percent-encoded in place of `<%NAME>`.
pub fn filled(text: &str) -> String {
    PLANTED.iter().fold(text.to_owned(), |text, it| {
        let encoded: String =
            percent_encoding::utf8_percent_encode(it.text, percent_encoding::NON_ALPHANUMERIC)
                .to_string();
        text.replace(&format!("<{}>", it.name), it.text)
            .replace(&format!("<%{}>", it.name), &encoded)
    })
}
