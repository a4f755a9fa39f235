//! `server` and `default-server` lines: the options that count, those that do not, and those that are refused.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use super::remarks::Remarks;
use super::sections::Line;
use super::tokens::Word;
use super::{Written, times};

/// What stands on the line, and what `default-server` lines above it have said.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) check: Option<Written<()>>,
    pub(super) check_ssl: Option<Written<()>>,
    pub(super) ssl: Option<Written<()>>,
    pub(super) verify: Option<Written<String>>,
    pub(super) ca_file: Option<Written<String>>,
    pub(super) crt: Option<Written<String>>,
    pub(super) verifyhost: Option<Written<String>>,
    pub(super) check_sni: Option<Written<String>>,
    pub(super) port: Option<Written<u16>>,
    pub(super) addr: Option<Written<String>>,
    pub(super) inter: Option<Written<Duration>>,
    pub(super) fastinter: Option<Written<Duration>>,
    pub(super) downinter: Option<Written<Duration>>,
    pub(super) rise: Option<Written<u32>>,
    pub(super) fall: Option<Written<u32>>,
    pub(super) shutdown_sessions: Option<Written<()>>,
    pub(super) backup: Option<Written<()>>,
    /// A weight of 0: no new clients.
    pub(super) no_weight: Option<Written<()>>,
    pub(super) disabled: Option<Written<()>>,
    /// A PROXY header of version 1.
    pub(super) send_proxy: Option<Written<()>>,
    /// A PROXY header of version 2, with no more than addresses.
    pub(super) send_proxy_v2: Option<Written<()>>,
    /// One before checks.
    pub(super) check_send_proxy: Option<Written<()>>,
    /// One that tells of TLS; which option it is.
    pub(super) send_proxy_ssl: Option<Written<String>>,
    /// Where it is connected from.
    pub(super) source: Option<Written<String>>,
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: Word,
    pub(super) address: Word,
    pub(super) options: Options,
    pub(super) span: Range<usize>,
}

/// Options that change nothing that Raftgate could do: the name, how many arguments, why.
const IGNORED: &[(&str, usize, &str)] = &[
    ("slowstart", 1, ONE_LEADER),
    ("id", 1, "nodes are known by their names"),
    ("init-addr", 1, NAMES),
    ("resolvers", 1, NAMES),
    ("resolve-opts", 1, NAMES),
    ("resolve-net", 1, NAMES),
    ("resolve-prefer", 1, NAMES),
    ("observe", 1, "a connect that fails makes Raftgate ask all nodes at once, always"),
    ("error-limit", 1, "a connect that fails makes Raftgate ask all nodes at once, always"),
    ("on-error", 1, "a connect that fails makes Raftgate ask all nodes at once, always"),
    ("on-marked-up", 1, "sessions of a node that leads no more are `sessions.on_demotion`'s"),
    ("pool-low-conn", 1, NO_HTTP),
    ("pool-max-conn", 1, NO_HTTP),
    ("pool-purge-delay", 1, NO_HTTP),
    ("max-reuse", 1, NO_HTTP),
    ("tfo", 0, "Raftgate connects in the usual way"),
    ("no-tfo", 0, "Raftgate connects in the usual way"),
    ("ssl-reuse", 0, "probes keep one connection, and never resume a TLS session"),
    ("no-ssl-reuse", 0, "probes keep one connection, and never resume a TLS session"),
    ("tls-tickets", 0, "probes keep one connection, and never resume a TLS session"),
    ("no-tls-tickets", 0, "probes keep one connection, and never resume a TLS session"),
    ("ciphers", 1, TLS_VERSIONS),
    ("ciphersuites", 1, TLS_VERSIONS),
    ("ssl-min-ver", 1, TLS_VERSIONS),
    ("ssl-max-ver", 1, TLS_VERSIONS),
    ("no-sslv3", 0, TLS_VERSIONS),
    ("no-tlsv10", 0, TLS_VERSIONS),
    ("no-tlsv11", 0, TLS_VERSIONS),
    ("force-tlsv12", 0, TLS_VERSIONS),
    ("force-tlsv13", 0, TLS_VERSIONS),
    ("alpn", 1, "probes speak http/1.1, and clients negotiate with the node itself"),
    ("npn", 1, "probes speak http/1.1, and clients negotiate with the node itself"),
    ("sni", 1, "checks do not use it: `check-sni` is theirs, and clients send their own"),
    ("non-stick", 0, "there are no stick tables"),
    ("no-agent-check", 0, "there are none"),
    ("no-track", 0, "there is none"),
];
const ONE_LEADER: &str = "only the leader gets clients, so there is nothing to share out";
const NAMES: &str = "names are looked up by the system's own means, again every `dns.refresh`";
const NO_HTTP: &str = "Raftgate reads no HTTP, so it has no such connections";
const TLS_VERSIONS: &str = "probes speak TLS 1.2 and 1.3 with the library's choice of ciphers";

/// Options that are left out although a busy node notices.
const NOT_KEPT: &[(&str, usize, &str)] =
    &[("maxconn", 1, NODE_BOUND), ("minconn", 1, NODE_BOUND), ("maxqueue", 1, NODE_BOUND)];
const NODE_BOUND: &str = "HAProxy lets that many connections through to the server and keeps further clients waiting, but here all of them go to the \
     leader, which has to refuse those that it has no room for; bound the listener with `max_connections`, beyond which \
     clients are refused";

/// Options without which clients or checks would be treated otherwise than the file says.
const REFUSED: &[(&str, usize, &str)] = &[
    ("usesrc", 1, OWN_ADDRESSES),
    ("interface", 1, OWN_ADDRESSES),
    ("namespace", 1, "Raftgate knows one network namespace; start it in the right one"),
    ("track", 1, "Raftgate asks each node itself; give this server a `check` of its own"),
    ("agent-check", 0, "only HTTP checks tell Raftgate who leads; remove it"),
    ("agent-addr", 1, "only HTTP checks tell Raftgate who leads; remove it"),
    ("agent-port", 1, "only HTTP checks tell Raftgate who leads; remove it"),
    ("agent-inter", 1, "only HTTP checks tell Raftgate who leads; remove it"),
    ("agent-send", 1, "only HTTP checks tell Raftgate who leads; remove it"),
    ("socks4", 1, "Raftgate connects to nodes directly; remove it if they can be reached so"),
    ("check-via-socks4", 0, "Raftgate connects to nodes directly; remove it if they can be reached so"),
    ("cookie", 1, "Raftgate reads no HTTP, so it knows no cookies; remove it"),
    ("redir", 1, "Raftgate reads no HTTP; remove it"),
    ("proto", 1, "Raftgate passes clients' bytes as they come; remove it"),
    ("crl-file", 1, "Raftgate cannot check revocation lists yet; remove it if the roots alone will do"),
    ("tcp-ut", 1, "Raftgate has no such timeout; remove it, and set `timeout client` and `timeout server`"),
    (
        "proxy-v2-options",
        1,
        "Raftgate's PROXY header has addresses alone; remove it if the node does without more",
    ),
];
const OWN_ADDRESSES: &str =
    "Raftgate connects from addresses of this machine, one or the other; write one alone";

/// Reads the line of a server; `defaults` is what `default-server` has said so far.
pub(super) fn server(line: &Line, defaults: &Options, remarks: &mut Remarks) -> Option<Server> {
    let [name, address, options @ ..] = line.arguments.as_slice() else {
        let why = "it needs a name and an address, such as server ctrl1 10.0.0.1:1280 check";
        return remarks.refused(&line.span(), "server", why);
    };
    let mut server =
        Server { name: name.clone(), address: address.clone(), options: defaults.clone(), span: line.span() };
    server.options.read(options, remarks);
    Some(server)
}

impl Options {
    /// Lays further words over what has been said.
    pub(super) fn read(&mut self, mut words: &[Word], remarks: &mut Remarks) {
        while let Some((option, arguments)) = words.split_first() {
            let taken = self.option(option, arguments, remarks);
            words = arguments.get(taken..).unwrap_or_default();
        }
    }

    /// Reads one option; how many arguments it took.
    fn option(&mut self, option: &Word, arguments: &[Word], remarks: &mut Remarks) -> usize {
        if self.switch(option) {
            return 0;
        }
        let listed = |list: &'static [(&str, usize, &'static str)]| list.iter().find(|it| option.is(it.0));
        if let Some((name, taken, why)) = listed(IGNORED) {
            remarks.ignored(&option.span, &format!("server option {name}"), *why);
            return *taken;
        }
        if let Some((name, taken, why)) = listed(NOT_KEPT) {
            // 0 is HAProxy's own default: no bound.
            if !arguments.first().is_some_and(|bound| bound.is("0")) {
                remarks.not_kept(&option.span, &format!("server option {name}"), *why);
            }
            return *taken;
        }
        if let Some((name, taken, why)) = listed(REFUSED) {
            remarks.refuse(&option.span, &format!("server option {name}"), *why);
            return *taken;
        }
        let Some(value) = arguments.first() else {
            let why = match option.text.as_str() {
                name if takes_value(name) => "its value is missing; write it behind, or remove the option",
                _ => UNKNOWN,
            };
            remarks.refuse(&option.span, &format!("server option {}", option.text), why);
            return 0;
        };
        self.valued(option, value, remarks)
    }

    /// Whether it is an option without an argument that counts, which then is done.
    fn switch(&mut self, option: &Word) -> bool {
        let (name, on) = match option.text.strip_prefix("no-") {
            Some(name) => (name, false),
            None => (option.text.as_str(), true),
        };
        let written = |()| Written { value: (), span: option.span.clone() };
        let set = on.then_some(()).map(written);
        match name {
            "check" => self.check = set,
            "check-ssl" => self.check_ssl = set,
            "ssl" => self.ssl = set,
            "backup" => self.backup = set,
            "disabled" if on => self.disabled = set,
            "enabled" if on => self.disabled = None,
            "send-proxy" => self.send_proxy = set,
            "send-proxy-v2" => self.send_proxy_v2 = set,
            "check-send-proxy" => self.check_send_proxy = set,
            "send-proxy-v2-ssl" | "send-proxy-v2-ssl-cn" => {
                self.send_proxy_ssl = set.map(|set| Written { value: option.text.clone(), span: set.span });
            }
            "verifyhost" if !on => self.verifyhost = None,
            _ => return false,
        }
        true
    }

    fn valued(&mut self, option: &Word, value: &Word, remarks: &mut Remarks) -> usize {
        let text = || Some(Written { value: value.text.clone(), span: option.span.start..value.span.end });
        match option.text.as_str() {
            "verify" => match value.text.as_str() {
                "none" | "required" => self.verify = text(),
                other => {
                    refuse(option, value, &format!("found {other:?}, expected none or required"), remarks);
                }
            },
            "ca-file" => self.ca_file = text(),
            "crt" => self.crt = text(),
            "verifyhost" => self.verifyhost = text(),
            "check-sni" => self.check_sni = text(),
            "addr" => self.addr = text(),
            "source" => self.source = text(),
            "check-alpn" => {
                if !value.is("http/1.1") {
                    refuse(option, value, "Raftgate's probes speak http/1.1 alone; write that", remarks);
                }
            }
            "check-proto" => {
                if !value.is("h1") && !value.is("none") {
                    refuse(option, value, "Raftgate's probes speak HTTP/1.1 alone; write h1", remarks);
                }
            }
            "weight" => self.weight(option, value, remarks),
            "port" => self.port = number(option, value, remarks),
            "inter" => self.inter = time(option, value, remarks),
            "fastinter" => self.fastinter = time(option, value, remarks),
            "downinter" => self.downinter = time(option, value, remarks),
            "rise" => self.rise = number(option, value, remarks),
            "fall" => self.fall = number(option, value, remarks),
            "on-marked-down" => {
                if value.is("shutdown-sessions") {
                    let span = option.span.start..value.span.end;
                    self.shutdown_sessions = Some(Written { value: (), span });
                } else {
                    refuse(option, value, "only shutdown-sessions is known; write that", remarks);
                }
            }
            _ => {
                remarks.refuse(&option.span, &format!("server option {}", option.text), UNKNOWN);
                return 0;
            }
        }
        1
    }

    /// How many clients of all do not matter, but whether there are to be any.
    fn weight(&mut self, option: &Word, value: &Word, remarks: &mut Remarks) {
        self.no_weight = None;
        match value.text.parse() {
            Ok(0) => self.no_weight = Some(Written { value: (), span: option.span.start..value.span.end }),
            Ok(1..=256_u16) => remarks.ignored(&option.span, "server option weight", ONE_LEADER),
            _ => {
                let why = format!("found {:?}, expected a whole number from 0 to 256", value.text);
                refuse(option, value, &why, remarks);
            }
        }
    }
}

const UNKNOWN: &str = "Raftgate does not know it; remove it if clients and checks do without";

fn takes_value(option: &str) -> bool {
    const VALUED: [&str; 18] = [
        "weight",
        "verify",
        "ca-file",
        "crt",
        "verifyhost",
        "check-sni",
        "addr",
        "source",
        "check-alpn",
        "check-proto",
        "port",
        "inter",
        "fastinter",
        "downinter",
        "rise",
        "fall",
        "on-marked-down",
        "no-verifyhost",
    ];
    VALUED.contains(&option)
}

fn refuse(option: &Word, value: &Word, why: &str, remarks: &mut Remarks) {
    let span = option.span.start..value.span.end;
    remarks.refuse(&span, &format!("server option {}", option.text), why);
}

fn number<N>(option: &Word, value: &Word, remarks: &mut Remarks) -> Option<Written<N>>
where
    N: FromStr + PartialOrd + From<u8>,
{
    let span = option.span.start..value.span.end;
    match value.text.parse() {
        Ok(number) if number >= N::from(1) && !value.text.starts_with('+') => {
            Some(Written { value: number, span })
        }
        _ => {
            let why = format!("found {:?}, expected a whole number from 1", value.text);
            remarks.refused(&span, &format!("server option {}", option.text), why)
        }
    }
}

fn time(option: &Word, value: &Word, remarks: &mut Remarks) -> Option<Written<Duration>> {
    let span = option.span.start..value.span.end;
    let why = match times::parse(&value.text) {
        Ok(Duration::ZERO) => "found 0, expected a time to wait between two checks".to_owned(),
        Ok(time) => return Some(Written { value: time, span }),
        Err(why) => why,
    };
    remarks.refused(&span, &format!("server option {}", option.text), why)
}
