//! `option httpchk` and `http-check`: what servers are asked, and which answers count.

use std::ops::Range;

use super::remarks::Remarks;
use super::sections::Line;
use super::tokens::Word;
use super::{Written, expect};
use expect::Expect;

/// What `option` says of checks.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// An HTTP request.
    Http,
    /// Any other; its name.
    Other(Written<String>),
}

/// The check of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks {
    pub(super) kind: Option<Written<Check>>,
    pub(super) request: Request,
    pub(super) expect: Option<Written<Expect>>,
    pub(super) connect: Option<Written<Connect>>,
    /// A second step, which would make it a conversation.
    pub(super) second_step: Option<Range<usize>>,
    /// A line that puts aside the check of the `defaults`, without a check of its own.
    pub(super) orphan: Option<Range<usize>>,
    /// Whether the lines read last are of this section, or of the nearest `defaults` that have some.
    is_own: bool,
    sent: bool,
}

/// What is asked; what is not written is HAProxy's default.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: Option<Written<String>>,
    pub(super) uri: Option<Written<String>>,
    pub(super) host: Option<Written<String>>,
    pub(super) headers: Vec<(String, Written<String>)>,
}

/// `http-check connect`: how to get there.
#[derive(Clone, Debug, Default)]
pub(super) struct Connect {
    /// Set if the options of the server's line count, too.
    pub(super) default: bool,
    pub(super) ssl: Option<Written<()>>,
    pub(super) sni: Option<Written<String>>,
    pub(super) port: Option<Written<u16>>,
    pub(super) addr: Option<Written<String>>,
}

/// `option` words of checks that are no HTTP requests.
pub(super) const OTHER_CHECKS: [&str; 9] = [
    "tcp-check",
    "ssl-hello-chk",
    "smtpchk",
    "ldap-check",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "spop-check",
    "external-check",
];

impl Checks {
    /// Whether the servers' `check-ssl`, `check-sni` and `check-send-proxy` count; their `port` and `addr` do always.
    pub(super) fn as_servers_say(&self) -> bool {
        self.connect.as_ref().is_none_or(|connect| connect.value.default)
    }

    /// What follows is of a section nearer to the proxy.
    pub(super) fn begin_layer(&mut self) {
        self.is_own = false;
    }

    /// HAProxy takes the check of the `defaults` as a whole, or not at all.
    fn put_inherited_aside(&mut self, line: &Line) {
        if !self.is_own {
            let orphan = self.kind.is_some().then(|| line.span());
            let kind = self.kind.take();
            *self = Checks { is_own: true, orphan, kind, ..Checks::default() };
        }
    }

    /// An `option` that asks in another way than HTTP.
    pub(super) fn other(&mut self, name: &str, line: &Line) {
        self.put_inherited_aside(line);
        self.orphan = None;
        let other = Check::Other(Written { value: name.to_owned(), span: line.span() });
        self.kind = Some(Written { value: other, span: line.span() });
    }

    /// `option httpchk [METHOD] [URI] [VERSION, and perhaps headers] [HOST]`.
    pub(super) fn httpchk(&mut self, line: &Line, remarks: &mut Remarks) {
        self.put_inherited_aside(line);
        self.orphan = None;
        self.kind = Some(Written { value: Check::Http, span: line.span() });
        if !self.sent {
            self.request = Request::default();
        }
        let words = line.arguments.get(1..).unwrap_or_default();
        let (method, uri, version) = match words {
            [] => (None, None, None),
            [uri] => (None, Some(uri), None),
            [method, uri] => (Some(method), Some(uri), None),
            [method, uri, version, ..] => (Some(method), Some(uri), Some(version)),
        };
        // What `http-check send` says wins, wherever it stands.
        let request = &mut self.request;
        request.method = request.method.take().or(method.map(Written::word));
        request.uri = request.uri.take().or(uri.map(Written::word));
        if let Some(version) = version {
            self.version(version, remarks);
        }
        // HAProxy 3 takes the Host header from here.
        if let Some(host) = words.get(3) {
            self.header("Host", &host.text, &host.span, remarks);
        }
        if let Some(more) = words.get(4) {
            let why = "only the method, the path, the version and a host can stand here; remove the rest";
            remarks.refuse(&more.span, "option httpchk", why);
        }
    }

    /// The version, behind which older files hide headers: `HTTP/1.1\r\nHost:\ x`.
    fn version(&mut self, version: &Word, remarks: &mut Remarks) {
        let mut lines = version.text.split("\r\n");
        if !lines.next().is_some_and(is_version) {
            let why = format!("found {:?}, expected HTTP/1.0 or HTTP/1.1", version.text);
            remarks.refuse(&version.span, "option httpchk", why);
        }
        while let Some(header) = lines.next() {
            match header.split_once(':') {
                Some((name, value)) => self.header(name, value.trim(), &version.span, remarks),
                None if header.is_empty() && lines.next().is_none_or(str::is_empty) => return,
                None => {
                    let why = "what follows the version is no header; Raftgate sends no body with a probe";
                    return remarks.refuse(&version.span, "option httpchk", why);
                }
            }
        }
    }

    fn header(&mut self, name: &str, value: &str, span: &Range<usize>, remarks: &mut Remarks) {
        if value.contains("%[") {
            let why = "Raftgate does not compute headers; write the value itself";
            return remarks.refuse(span, "http-check send", why);
        }
        let written = Written { value: value.replace("%%", "%"), span: span.clone() };
        if name.eq_ignore_ascii_case("host") {
            self.request.host = Some(written);
        } else if name.eq_ignore_ascii_case("connection") {
            remarks.ignored(span, "the header Connection", "probes keep their connection for the next");
        } else if self.request.headers.iter().any(|(known, _)| known == name) {
            remarks.refuse(span, "http-check send hdr", "the header is there twice; leave one out");
        } else {
            self.request.headers.push((name.to_owned(), written));
        }
    }

    /// `http-check ...`.
    pub(super) fn http_check(&mut self, line: &Line, remarks: &mut Remarks) {
        self.put_inherited_aside(line);
        match line.argument(0) {
            "send" => self.send(line, remarks),
            "expect" => {
                self.note_second(self.expect.is_some(), line);
                let value = expect::parse(line, remarks);
                self.expect = value.map(|value| Written { value, span: line.span() });
            }
            "connect" => {
                self.note_second(self.connect.is_some() || self.sent || self.expect.is_some(), line);
                self.connect(line, remarks);
            }
            "comment" => {}
            "send-state" => remarks.ignored(
                &line.span(),
                "http-check send-state",
                "nodes are not told what is thought of them",
            ),
            "disable-on-404" => {
                let why = "with it sessions of a server that answers 404 go on in HAProxy, but here a node that answers so is \
                           one that does not lead, and its sessions end as on-marked-down says; remove it if that will do: \
                           such a node gets no new clients, either";
                remarks.refuse(&line.span(), "http-check disable-on-404", why);
            }
            other => {
                let why = "only send, expect and connect are understood; remove it if the check does without";
                remarks.refuse(&line.span(), &format!("http-check {other}"), why);
            }
        }
    }

    fn note_second(&mut self, is_second: bool, line: &Line) {
        if is_second && self.second_step.is_none() {
            self.second_step = Some(line.span());
        }
    }

    fn send(&mut self, line: &Line, remarks: &mut Remarks) {
        self.note_second(self.sent, line);
        self.sent = true;
        let mut words = line.arguments.get(1..).unwrap_or_default();
        while let Some((what, rest)) = words.split_first() {
            let taken = match (what.text.as_str(), rest) {
                ("meth", [method, ..]) => {
                    self.request.method = Some(Written::word(method));
                    1
                }
                ("uri", [uri, ..]) => {
                    self.request.uri = Some(Written::word(uri));
                    1
                }
                ("ver", [version, ..]) if is_version(&version.text) => 1,
                ("comment", [_, ..]) => 1,
                ("hdr", [name, value, ..]) => {
                    self.header(&name.text, &value.text, &(what.span.start..value.span.end), remarks);
                    2
                }
                _ => {
                    let why = "only meth, uri, ver HTTP/1.0 or HTTP/1.1, and hdr with plain values are understood; \
                               Raftgate sends no body with a probe, and computes nothing";
                    return remarks.refuse(&what.span, &format!("http-check send {}", what.text), why);
                }
            };
            words = rest.get(taken..).unwrap_or_default();
        }
    }

    fn connect(&mut self, line: &Line, remarks: &mut Remarks) {
        let mut connect = Connect::default();
        let mut words = line.arguments.get(1..).unwrap_or_default();
        while let Some((what, rest)) = words.split_first() {
            let taken = match (what.text.as_str(), rest) {
                ("linger", _) => 0,
                ("default", _) => {
                    connect.default = true;
                    0
                }
                ("ssl", _) => {
                    connect.ssl = Some(Written { value: (), span: what.span.clone() });
                    0
                }
                ("sni", [sni, ..]) => {
                    connect.sni = Some(Written::word(sni));
                    1
                }
                ("addr", [addr, ..]) => {
                    connect.addr = Some(Written::word(addr));
                    1
                }
                ("port", [port, ..]) if port.text.parse::<u16>().is_ok_and(|port| port > 0) => {
                    let span = what.span.start..port.span.end;
                    connect.port = port.text.parse().ok().map(|value| Written { value, span });
                    1
                }
                ("alpn", [alpn, ..]) if alpn.is("http/1.1") => 1,
                ("proto", [proto, ..]) if proto.is("h1") => 1,
                ("comment", [_, ..]) => 1,
                _ => {
                    let why = "only default, port, addr, ssl, sni, alpn http/1.1, proto h1 and linger are understood; \
                               remove it if the check does without";
                    return remarks.refuse(&what.span, &format!("http-check connect {}", what.text), why);
                }
            };
            words = rest.get(taken..).unwrap_or_default();
        }
        self.connect = Some(Written { value: connect, span: line.span() });
    }
}

fn is_version(text: &str) -> bool {
    matches!(text, "HTTP/1.0" | "HTTP/1.1")
}
