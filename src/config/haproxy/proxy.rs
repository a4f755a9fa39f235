//! `frontend`, `backend` and `listen` sections, line by line.

use std::ops::Range;
use std::time::Duration;

use super::accept_proxy::{Networks, expect_proxy, is_expect_proxy};
use super::bind::{Bind, bind};
use super::check::{Checks, OTHER_CHECKS};
use super::directives;
use super::remarks::Remarks;
use super::routes::Rules;
use super::sections::{Line, Section};
use super::server::{Options, Server, server};
use super::tokens::Word;
use super::{Written, times};

/// One section with what its `defaults` say.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) name: Word,
    pub(super) kind: String,
    pub(super) binds: Vec<Bind>,
    pub(super) maxconn: Option<Written<usize>>,
    /// Where clients go by what they say.
    pub(super) rules: Rules,
    /// Who begins with a PROXY header, by each rule.
    pub(super) introducers: Vec<Written<Networks>>,
    /// Where the others go.
    pub(super) default_backend: Option<Written<String>>,
    pub(super) timeouts: Timeouts,
    pub(super) checks: Checks,
    pub(super) servers: Vec<Server>,
    /// Where nodes are connected from, unless a server says otherwise.
    pub(super) source: Option<Written<String>>,
    /// How clients are shared out among servers that are up.
    pub(super) balance: Option<Written<String>>,
    /// `option dontlognull`, where it stands.
    pub(super) dontlognull: Option<Range<usize>>,
    default_server: Options,
}

/// Each `timeout`, as far as it means something without HTTP.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeouts {
    pub(super) connect: Option<Written<Duration>>,
    pub(super) client: Option<Written<Duration>>,
    pub(super) server: Option<Written<Duration>>,
    pub(super) tunnel: Option<Written<Duration>>,
    pub(super) client_fin: Option<Written<Duration>>,
    pub(super) server_fin: Option<Written<Duration>>,
    pub(super) queue: Option<Written<Duration>>,
    pub(super) check: Option<Written<Duration>>,
}

/// Reads a section; `layers` are its `defaults` and itself.
pub(super) fn read(section: &Section, layers: &[&Section], remarks: &mut Remarks) -> Option<Proxy> {
    let kind = section.kind();
    let Some(name) = section.head.arguments.first() else {
        let why = format!("it has no name; write {kind} and a name");
        return remarks.refused(&section.head.span(), kind, why);
    };
    if section.head.arguments.get(1).is_some_and(|word| !word.is("from")) {
        let why = "only a name can follow; write the address on a `bind` line below";
        return remarks.refused(&section.head.span_from(1), kind, why);
    }
    let mut proxy = Proxy {
        name: name.clone(),
        kind: kind.to_owned(),
        binds: Vec::new(),
        maxconn: None,
        rules: Rules::default(),
        introducers: Vec::new(),
        default_backend: None,
        timeouts: Timeouts::default(),
        checks: Checks::default(),
        servers: Vec::new(),
        source: None,
        balance: None,
        dontlognull: None,
        default_server: Options::default(),
    };
    for layer in layers {
        proxy.checks.begin_layer();
        for line in &layer.lines {
            proxy.line(line, remarks);
        }
    }
    proxy.rules.tell_of_unused_acls(remarks);
    if let Some(span) = &proxy.checks.orphan {
        let why = "with a line of its own this section puts aside the whole check of its `defaults`, also in HAProxy, which \
                   then asks for nothing or for /; write the option httpchk here, too";
        remarks.refuse(span, "http-check", why);
    }
    Some(proxy)
}

impl Proxy {
    /// Whether clients arrive here.
    pub(super) fn is_front(&self) -> bool {
        self.kind == "frontend" || !self.binds.is_empty()
    }

    /// Whether clients can be sent here.
    pub(super) fn is_back(&self) -> bool {
        self.kind != "frontend"
    }

    fn line(&mut self, line: &Line, remarks: &mut Remarks) {
        let span = line.span();
        match line.keyword.text.as_str() {
            "mode" | "disabled" | "enabled" => {}
            "option" => self.option(line, remarks),
            _ if line.negated => directives::other(line, remarks),
            "bind" => self.binds.push(bind(line, remarks)),
            "maxconn" => match line.argument(0).parse() {
                Ok(0) => self.maxconn = None,
                Ok(value) => self.maxconn = Some(Written { value, span }),
                Err(_) => remarks.refuse(&span, "maxconn", "expected a whole number"),
            },
            "timeout" => self.timeout(line, remarks),
            "default_backend" => {
                self.default_backend = Some(Written { value: line.argument(0).to_owned(), span });
            }
            "tcp-request" if is_expect_proxy(line) => self.introducers.extend(expect_proxy(line, remarks)),
            "source" => self.source(line, remarks),
            "balance" => {
                self.balance = Some(Written { value: line.argument(0).to_owned(), span });
                directives::other(line, remarks);
            }
            "use_backend" => self.rules.use_backend(line, remarks),
            "acl" => self.rules.acl(line),
            "tcp-request" if self.kind != "backend" && self.rules.tcp_request(line, remarks) => {}
            "http-check" => self.checks.http_check(line, remarks),
            "default-server" => self.default_server.read(&line.arguments, remarks),
            "server" => self.servers.extend(server(line, &self.default_server, remarks)),
            _ => directives::other(line, remarks),
        }
    }

    fn source(&mut self, line: &Line, remarks: &mut Remarks) {
        if let Some(more) = line.arguments.get(1) {
            let why = "Raftgate connects from addresses of this machine, one or the other; write one alone";
            return remarks.refuse(&more.span, "source", why);
        }
        self.source = Some(Written { value: line.argument(0).to_owned(), span: line.span() });
    }

    fn option(&mut self, line: &Line, remarks: &mut Remarks) {
        let option = line.argument(0);
        let is_check = option == "httpchk" || OTHER_CHECKS.contains(&option);
        if is_check && line.negated {
            let why = "HAProxy does not take a check back either; remove the line, and the check if there is to be none";
            remarks.refuse(&line.span(), &format!("no option {option}"), why);
        } else if option == "httpchk" {
            self.checks.httpchk(line, remarks);
        } else if is_check {
            self.checks.other(option, line);
        } else if option == "dontlognull" {
            self.dontlognull = Some(line.span()).filter(|_| !line.negated);
        } else if !line.negated {
            directives::option(line, remarks);
        }
    }

    fn timeout(&mut self, line: &Line, remarks: &mut Remarks) {
        let (which, span) = (line.argument(0), line.span());
        let about = format!("timeout {which}");
        let timeouts = &mut self.timeouts;
        let place = match which {
            "connect" => &mut timeouts.connect,
            "client" => &mut timeouts.client,
            "server" => &mut timeouts.server,
            "tunnel" => &mut timeouts.tunnel,
            "client-fin" => &mut timeouts.client_fin,
            "server-fin" => &mut timeouts.server_fin,
            "queue" => &mut timeouts.queue,
            "check" => &mut timeouts.check,
            "http-request" | "http-keep-alive" | "tarpit" => {
                return remarks.ignored(
                    &span,
                    &about,
                    "it is about HTTP, and counts for nothing in tcp mode",
                );
            }
            _ => {
                return remarks.refuse(&span, &about, "Raftgate does not know this timeout; remove it");
            }
        };
        match times::parse(line.argument(1)) {
            Ok(value) => *place = Some(Written { value, span }),
            Err(why) => remarks.refuse(&span, &about, why),
        }
    }
}
