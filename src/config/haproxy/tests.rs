//! What translations are for any text: never a panic, always TOML.

use proptest::prelude::*;

use super::*;

fn translation(text: &str) -> Translation {
    translate(text, &|name| (name == "HOST").then(|| "10.0.0.9".to_owned()))
}

/// Words that files are made of, and some that they are not.
const WORDS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "from",
    "a",
    "b",
    "mode",
    "tcp",
    "http",
    "bind",
    "*:443",
    ":::1-9",
    "v6only",
    "timeout",
    "client",
    "connect",
    "server",
    "5s",
    "0",
    "1.5s",
    "option",
    "httpchk",
    "GET",
    "/",
    "/primary",
    "http-check",
    "expect",
    "!",
    "status",
    "200,429",
    "send",
    "hdr",
    "host",
    "x",
    "check",
    "check-ssl",
    "verify",
    "none",
    "ca-file",
    "@system-ca",
    "default-server",
    "no-check",
    "10.0.0.1:1",
    "10.0.0.1",
    "::1:2",
    "inter",
    "fall",
    "on-marked-down",
    "shutdown-sessions",
    "port",
    "8008",
    "backup",
    "use_backend",
    "default_backend",
    "no",
    "maxconn",
    "\"${HOST}\"",
    "'",
    "\\",
    "#",
    "setenv",
    ".if",
    "stats",
    "enable",
    "acl",
    "tcp-request",
    "inspect-delay",
    "content",
    "accept",
    "reject",
    "if",
    "unless",
    "or",
    "{",
    "}",
    "!{",
    "req.ssl_sni",
    "req.ssl_sni,lower",
    "req.ssl_alpn",
    "req.ssl_hello_type",
    "-i",
    "-m",
    "end",
    ".a.org",
    "a.org",
    "1",
    "accept-proxy",
    "connection",
    "expect-proxy",
    "layer4",
    "src",
    "send-proxy",
    "send-proxy-v2",
    "source",
    "\n",
    "\n",
    "\n",
];

fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(WORDS).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_words_make_it_panic_or_say_what_is_no_toml(words in proptest::collection::vec(word(), 0..80)) {
        let text = words.join(" ");
        let Translation { toml, spans, remarks } = translation(&text);
        prop_assert!(toml.parse::<toml_edit::DocumentMut>().is_ok() || remarks.iter().any(Remark::is_refusal), "{toml}");
        for span in spans.iter().map(|(_, span)| span).chain(remarks.iter().map(|remark| &remark.span)) {
            prop_assert!(text.get(span.clone()).is_some(), "{span:?} of {text:?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        translation(&String::from_utf8_lossy(&bytes));
    }
}
