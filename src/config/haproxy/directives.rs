//! The directives and options of a section that are not taken over: left out without harm, or refused.

use super::remarks::Remarks;
use super::sections::Line;

/// Left out: they change nothing that Raftgate could do.
const IGNORED: &[(&[&str], &str)] = &[
    (
        &["balance", "hash-type", "hash-balance-factor", "hash-preserve-affinity", "fullconn"],
        "only the leader gets clients, so there is nothing to share out",
    ),
    (
        &["retries", "redispatch", "retry-on"],
        "a connect that fails makes Raftgate ask all nodes at once, and go to whoever leads, until `hold.timeout`",
    ),
    (
        &[
            "log",
            "log-format",
            "log-format-sd",
            "log-tag",
            "error-log-format",
            "log-steps",
            "unique-id-format",
            "unique-id-header",
            "capture",
            "declare",
        ],
        "Raftgate logs to standard error, in its own words; see `log.format` and `log.connections`",
    ),
    (&["stats"], "Raftgate shows its status and metrics on `admin.bind`"),
    (&["description", "id", "guid", "bind-process", "backlog"], "Raftgate has no use for it"),
    (
        &[
            "errorfile",
            "errorfiles",
            "errorloc",
            "errorloc302",
            "errorloc303",
            "http-error",
            "compression",
            "monitor-uri",
            "monitor-net",
            "http-reuse",
            "http-send-name-header",
            "max-keep-alive-queue",
            "max-session-srv-conns",
        ],
        "it is about HTTP, and counts for nothing in tcp mode",
    ),
    (&["force-persist", "ignore-persist"], "there are no cookies, so nothing persists"),
    (
        &["load-server-state-from-file", "server-state-file-name"],
        "what is known of nodes is asked anew: unknown is not leader",
    ),
    (
        &[
            "clitcpka-cnt",
            "clitcpka-idle",
            "clitcpka-intvl",
            "srvtcpka-cnt",
            "srvtcpka-idle",
            "srvtcpka-intvl",
        ],
        "Raftgate keeps connections alive in its own way",
    ),
    (&["email-alert"], "Raftgate sends no mail; its metrics tell"),
];

/// Refused: without them clients would be treated otherwise than the file says.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "http-request",
            "http-response",
            "http-after-response",
            "redirect",
            "block",
            "cookie",
            "appsession",
            "use-fcgi-app",
        ],
        "Raftgate passes TCP through and reads no HTTP; remove it",
    ),
    (
        &["tcp-request", "tcp-response"],
        "Raftgate has no such rules; remove it, and in TOML say who may come in by the listener's `allow` and `deny`",
    ),
    (&["stick-table", "stick"], "Raftgate has no stick tables: every client goes to the leader; remove it"),
    (&["rate-limit"], RATE),
    (&["filter"], "Raftgate has no filters: bytes pass as they come; remove it"),
    (&["tcp-check"], "only HTTP checks tell Raftgate who leads; use option httpchk"),
    (&["external-check"], "only HTTP checks tell Raftgate who leads; use option httpchk"),
    (&["use-server"], "every client goes to the leader; remove it"),
    (&["server-template"], "Raftgate wants each node by its name; write a `server` line for each"),
    (&["dispatch"], "Raftgate wants each node by its name; write a `server` line for each"),
    (&["transparent"], "Raftgate goes to the leader, not where the client meant to go; remove it"),
    (&["persist"], "every client goes to the leader; remove it"),
    (&["grace"], "Raftgate stops taking clients at once; `shutdown.drain` lets sessions end"),
];

/// The refusal of bounds on how many clients may come in a second.
pub(super) const RATE: &str = "Raftgate does not bound how many clients come in a second, so that the node would get more than the file lets through; \
     remove it if that will do: `max_connections_per_source` bounds how many one may have at a time";

/// `option` words that change nothing that Raftgate could do.
const IGNORED_OPTIONS: &[(&[&str], &str)] = &[
    (&["redispatch"], "a connect that fails makes Raftgate ask all nodes at once, and go to whoever leads"),
    (
        &[
            "tcplog",
            "httplog",
            "httpslog",
            "dontlog-normal",
            "logasap",
            "log-health-checks",
            "log-separate-errors",
            "contstats",
            "socket-stats",
        ],
        "Raftgate logs in its own words; see `log.format` and `log.connections`",
    ),
    (
        &[
            "tcpka",
            "clitcpka",
            "srvtcpka",
            "tcp-smart-accept",
            "tcp-smart-connect",
            "splice-auto",
            "splice-request",
            "splice-response",
            "nolinger",
            "idle-close-on-response",
        ],
        "Raftgate has its own way with the kernel",
    ),
    (
        &[
            "forwardfor",
            "forwarded",
            "originalto",
            "http-server-close",
            "http-keep-alive",
            "httpclose",
            "forceclose",
            "http-pretend-keepalive",
            "http-no-delay",
            "http-use-htx",
            "http-use-proxy-header",
            "http-ignore-probes",
            "http-buffer-request",
            "http-restrict-req-hdr-names",
            "prefer-last-server",
            "checkcache",
            "accept-invalid-http-request",
            "accept-invalid-http-response",
            "h1-case-adjust-bogus-client",
            "h1-case-adjust-bogus-server",
            "disable-h2-upgrade",
        ],
        "it is about HTTP, and counts for nothing in tcp mode",
    ),
    (&["allbackups"], "at most one node gets clients"),
    (&["abortonclose"], "a client that goes away while it is held is noticed, always"),
    (&["independent-streams"], "`timeouts.idle` looks at both directions together"),
    (&["persist"], "there are no cookies, so nothing persists"),
];

/// A directive that is not read anywhere else.
pub(super) fn other(line: &Line, remarks: &mut Remarks) {
    let keyword = line.keyword.text.as_str();
    if let Some(why) = find(IGNORED, keyword) {
        remarks.ignored(&line.keyword.span, keyword, why);
    } else if line.negated {
        remarks.refuse(
            &line.keyword.span,
            keyword,
            "only an option can have `no` or `default` before it; remove the line",
        );
    } else {
        let why = find(REFUSED, keyword)
            .unwrap_or("Raftgate does not know it; remove it if clients and checks do without");
        remarks.refuse(&line.keyword.span, keyword, why);
    }
}

/// An `option` that is no check.
pub(super) fn option(line: &Line, remarks: &mut Remarks) {
    let about = format!("option {}", line.argument(0));
    if let Some(why) = find(IGNORED_OPTIONS, line.argument(0)) {
        return remarks.ignored(&line.span(), &about, why);
    }
    let why = match line.argument(0) {
        "transparent" | "http_proxy" => {
            "Raftgate goes to the leader, not where the client meant to go; remove it"
        }
        _ => "Raftgate does not know it; remove it if clients and checks do without",
    };
    remarks.refuse(&line.span(), &about, why);
}

fn find(list: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    list.iter().find(|(known, _)| known.contains(&word)).map(|(_, why)| *why)
}
