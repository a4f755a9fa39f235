//! The `global` section: the little of it that a proxy without HTTP and TLS has a use for.

use std::time::Duration;

use super::directives::RATE;
use super::remarks::Remarks;
use super::sections::{Line, Section};
use super::{Written, times};

/// What is taken over.
#[derive(Debug, Default)]
pub(super) struct Global {
    pub(super) maxconn: Option<Written<usize>>,
    pub(super) hard_stop_after: Option<Written<Duration>>,
    pub(super) ca_base: Option<String>,
    pub(super) crt_base: Option<String>,
    /// `ssl-server-verify`: what servers' `verify` is where none is written.
    pub(super) verify: Option<Written<String>>,
}

/// What configures HAProxy itself; also everything that begins with one of those that end in a dot or a dash.
const IGNORED: &[(&[&str], &str)] = &[
    (
        &[
            "nbthread",
            "nbproc",
            "cpu-map",
            "numa-cpu-mapping",
            "thread-groups",
            "thread-group",
            "thread-hard-limit",
        ],
        "`workers` says how many threads there are",
    ),
    (
        &["log", "log-", "quiet", "debug", "zero-warning", "trace"],
        "Raftgate logs to standard error; see `log.level`",
    ),
    (&["stats"], "Raftgate shows its status and metrics on `admin.bind`"),
    (
        &[
            "daemon",
            "master-worker",
            "mworker-max-reloads",
            "pidfile",
            "user",
            "group",
            "uid",
            "gid",
            "chroot",
            "set-dumpable",
            "set-var",
            "localpeer",
            "node",
            "description",
            "unix-bind",
        ],
        "Raftgate stays in the foreground as the user who started it; the service manager decides",
    ),
    (
        &[
            "tune.",
            "noepoll",
            "nokqueue",
            "noevports",
            "nopoll",
            "nosplice",
            "noreuseport",
            "nogetaddrinfo",
            "busy-polling",
            "profiling.",
            "fd-hard-limit",
            "ulimit-n",
            "strict-limits",
            "max-spread-checks",
            "spread-checks",
            "limited-quic",
            "pp2-",
            "prealloc-fd",
            "close-spread-time",
            "maxpipes",
            "maxcomprate",
            "maxcompcpuusage",
            "maxzlibmem",
        ],
        "it tunes HAProxy; Raftgate needs none of it",
    ),
    (
        &[
            "ssl-default-",
            "ssl-dh-",
            "ssl-engine",
            "ssl-mode-async",
            "ssl-load-",
            "ssl-propquery",
            "ssl-provider",
            "ssl-skip-",
            "issuers-chain-path",
            "maxsslconn",
            "maxsslrate",
            "ssl-security-level",
        ],
        "Raftgate ends no TLS; its probes speak TLS 1.2 and 1.3",
    ),
    (
        &[
            "server-state-base",
            "server-state-file",
            "51degrees-",
            "deviceatlas-",
            "wurfl-",
            "h1-",
            "h2-",
            "httpclient.",
            "insecure-",
            "expose-",
            "hpack-",
            "cluster-secret",
            "anonkey",
            "email-alert",
            "harden.",
        ],
        "it is about what Raftgate does not do",
    ),
];

pub(super) fn read(sections: &[Section], remarks: &mut Remarks) -> Global {
    let mut global = Global::default();
    for line in
        sections.iter().filter(|section| section.kind() == "global").flat_map(|section| &section.lines)
    {
        global.line(line, remarks);
    }
    global
}

impl Global {
    fn line(&mut self, line: &Line, remarks: &mut Remarks) {
        let (keyword, value) = (line.keyword.text.as_str(), line.argument(0));
        let span = line.span();
        match keyword {
            _ if line.negated && ignored(keyword).is_none() => {
                remarks.refuse(&span, keyword, "it cannot have `no` or `default` before it; remove the line");
            }
            "maxconn" => match value.parse() {
                // What HAProxy finds out by itself, Raftgate does too.
                Ok(0) => {}
                Ok(value) => self.maxconn = Some(Written { value, span }),
                Err(_) => remarks.refuse(&span, keyword, "expected a whole number"),
            },
            // HAProxy's own default: no bound.
            "maxconnrate" | "maxsessrate" if value == "0" => {}
            "hard-stop-after" => match times::parse(value) {
                Ok(Duration::ZERO) => self.hard_stop_after = None,
                Ok(value) => self.hard_stop_after = Some(Written { value, span }),
                Err(why) => remarks.refuse(&span, keyword, why),
            },
            "ca-base" => self.ca_base = Some(value.to_owned()),
            "crt-base" => self.crt_base = Some(value.to_owned()),
            "ssl-server-verify" if matches!(value, "none" | "required") => {
                self.verify = Some(Written { value: value.to_owned(), span });
            }
            _ => match ignored(keyword) {
                Some(why) => remarks.ignored(&span, keyword, why),
                None => remarks.refuse(&line.keyword.span, keyword, refusal(keyword)),
            },
        }
    }
}

fn ignored(keyword: &str) -> Option<&'static str> {
    let fits = |known: &&str| keyword == *known || known.ends_with(['.', '-']) && keyword.starts_with(known);
    IGNORED.iter().find(|(known, _)| known.iter().any(fits)).map(|(_, why)| *why)
}

fn refusal(keyword: &str) -> &'static str {
    match keyword {
        lua if lua.starts_with("lua-") => "Raftgate runs no Lua; remove it and what uses it",
        "maxconnrate" | "maxsessrate" => RATE,
        "external-check" => "only HTTP checks tell Raftgate who leads; remove it",
        "default-path" => "Raftgate reads paths as they are; write absolute ones in place of it",
        "ssl-server-verify" => "expected none or required",
        "grace" => "Raftgate stops taking clients at once; `shutdown.drain` lets sessions end",
        _ => "Raftgate does not know it; remove it if the proxy does without",
    }
}
