//! `bind` lines: the addresses, and which of their parameters count.

use std::ops::{Range, RangeInclusive};

use super::Written;
use super::remarks::Remarks;
use super::sections::Line;
use super::tokens::Word;

/// More ports on one line are a mistake, or no case for a list of listeners.
const MOST_PORTS: usize = 64;

/// The addresses of one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Bind {
    /// As Raftgate writes them.
    pub(super) addresses: Vec<Written<String>>,
    /// Set if IPv4 is to be left alone.
    pub(super) v6only: Option<Range<usize>>,
    /// Set if every connection begins with a PROXY header.
    pub(super) accept_proxy: Option<Range<usize>>,
    pub(super) maxconn: Option<Written<usize>>,
}

const IGNORED: &[(&str, usize, &str)] = &[
    ("name", 1, "listeners are known by the name of their section"),
    ("id", 1, "listeners are known by the name of their section"),
    ("backlog", 1, KERNEL),
    ("tfo", 0, KERNEL),
    ("defer-accept", 0, "`connect.on_first_byte` decides when a node is connected to"),
    ("mss", 1, KERNEL),
    ("nice", 1, KERNEL),
    ("process", 1, THREADS),
    ("thread", 1, THREADS),
    ("shards", 1, THREADS),
    ("v4v6", 0, "an IPv6 address that stands for all takes IPv4 too, always"),
];
const KERNEL: &str = "Raftgate has its own way with the kernel";
const THREADS: &str = "`workers` says how many threads there are";

const REFUSED: &[(&str, usize, &str)] = &[
    ("accept-netscaler-cip", 1, "Raftgate does not read such headers, and would send them to the node"),
    (
        "interface",
        1,
        "Raftgate cannot bind to an interface yet; write the interface's address in place of it",
    ),
    ("namespace", 1, "Raftgate knows one network namespace; start it in the right one"),
    ("transparent", 0, "Raftgate cannot bind to addresses of others; write one of this machine"),
    ("tcp-ut", 1, "Raftgate has no such timeout; remove it, and set `timeout client`"),
];

/// Reads the line; what is refused is missing in the answer.
pub(super) fn bind(line: &Line, remarks: &mut Remarks) -> Bind {
    let mut bind = Bind::default();
    let Some((addresses, mut words)) = line.arguments.split_first() else {
        remarks.refuse(&line.span(), "bind", "it needs an address, such as bind :443");
        return bind;
    };
    while let Some((parameter, rest)) = words.split_first() {
        words = rest.get(bind.parameter(parameter, rest, remarks)..).unwrap_or_default();
    }
    for part in addresses.text.split(',') {
        bind.add(part, addresses, remarks);
    }
    bind
}

impl Bind {
    /// Reads one parameter; how many words behind it are its own.
    fn parameter(&mut self, word: &Word, rest: &[Word], remarks: &mut Remarks) -> usize {
        let listed = |list: &'static [(&str, usize, &'static str)]| list.iter().find(|it| word.is(it.0));
        let about = format!("bind {}", word.text);
        if let Some((_, taken, why)) = listed(IGNORED) {
            // Nothing is lost: it says what is so anyway.
            if !word.is("v4v6") {
                remarks.ignored(&word.span, &about, *why);
            }
            return *taken;
        }
        if let Some((_, taken, why)) = listed(REFUSED) {
            remarks.refuse(&word.span, &about, *why);
            return *taken;
        }
        match (word.text.as_str(), rest.first()) {
            ("v6only", _) => {
                self.v6only = Some(word.span.clone());
                0
            }
            ("accept-proxy", _) => {
                self.accept_proxy = Some(word.span.clone());
                0
            }
            ("maxconn", Some(value)) => {
                let span = word.span.start..value.span.end;
                match value.text.parse() {
                    Ok(number) => self.maxconn = Some(Written { value: number, span }),
                    Err(_) => remarks.refuse(&span, &about, "expected a whole number"),
                }
                1
            }
            ("ssl", _) => {
                let why = "Raftgate ends no TLS: clients' streams go to the node untouched, which shows its own \
                           certificate; remove `ssl` and what belongs to it";
                remarks.refuse(&word.span, &about, why);
                // What follows is about TLS, or will be looked at once this is gone.
                rest.len()
            }
            _ => {
                let why = "Raftgate does not know it; remove it if clients do without";
                remarks.refuse(&word.span, &about, why);
                rest.len()
            }
        }
    }

    fn add(&mut self, text: &str, word: &Word, remarks: &mut Remarks) {
        let mut refuse = |why: &str| remarks.refuse(&word.span, "bind", why.to_owned());
        let (family, address) = match text.split_once('@') {
            Some((family @ ("ipv4" | "ipv6" | "tcp" | "tcp4" | "tcp6"), address)) => (family, address),
            Some(_) => return refuse("only TCP addresses can be bound; write IP:PORT"),
            None => ("", text),
        };
        if address.starts_with('/') {
            return refuse("Raftgate does not listen on Unix sockets; write IP:PORT");
        }
        let Some((host, ports)) = address.rsplit_once(':') else {
            return refuse("it has no port; write IP:PORT, or :PORT for every IPv4 address of this machine");
        };
        let Some(ports) = ports_of(ports) else {
            return refuse("expected a port, or the first and the last of up to 64, such as 5000-5003");
        };
        let host = match host.trim_start_matches('[').trim_end_matches(']') {
            "" | "*" if family.ends_with('6') => "[::]".to_owned(),
            "" | "*" => "0.0.0.0".to_owned(),
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_owned(),
        };
        for port in ports {
            self.addresses.push(Written { value: format!("{host}:{port}"), span: word.span.clone() });
        }
    }
}

fn ports_of(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports: RangeInclusive<u16> = first.parse().ok()?..=last.parse().ok()?;
    (1..=MOST_PORTS).contains(&ports.len()).then_some(ports)
}
