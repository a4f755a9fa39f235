//! A `haproxy.cfg` as it is, as the TOML that it amounts to: what cannot be taken over is refused, what need not be is said.
//!
//! ```text
//! tokens      a line -> words, with their places        times       5s -> a duration
//! sections    the text -> sections, with what their `defaults` say
//! global, proxy (bind, server, check, expect, directives)    lines -> what they say
//! listener    a frontend -> [listeners.N]: routes (who goes where), conditions (what a hello has to say),
//!             accept_proxy (PROXY headers in)
//! cluster     a backend -> [clusters.N]: asks (what, and who leads), known (which nodes answer which path), pools (nodes
//!             that do not lead), trust (TLS), pace and silence (timings), connect (the way there)
//! page        keys -> TOML, each with its place in the file
//! remarks     translated, ignored, refused, and why
//! ```

mod accept_proxy;
mod asks;
mod bind;
mod check;
mod cluster;
mod conditions;
mod connect;
mod directives;
mod expect;
mod global;
mod known;
mod listener;
mod pace;
mod page;
mod pools;
mod proxy;
mod remarks;
mod routes;
mod sections;
mod server;
mod silence;
mod times;
mod tokens;
mod trust;

#[cfg(test)]
mod tests;

use std::ops::Range;

use page::Page;
use pools::Ground;
use proxy::Proxy;
use remarks::{HARD_STOP, MAXCONN, Remarks};
use sections::{Line, Section, layers_of, sections};
use tokens::Word;

use super::effective::span;
use super::findings::KeyPath;

pub(super) use remarks::Remark;
pub(super) use sections::begins_with_section;
pub(super) use tokens::Variables;

/// A value, and where it was written, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written<T> {
    value: T,
    span: Range<usize>,
}

impl Written<String> {
    fn word(word: &Word) -> Self {
        Written { value: word.text.clone(), span: word.span.clone() }
    }
}

/// What a `haproxy.cfg` amounts to; nothing, if a remark is a refusal.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) toml: String,
    /// Where each key of the TOML comes from.
    pub(super) spans: Vec<(KeyPath, Range<usize>)>,
    /// In the order of the file.
    pub(super) remarks: Vec<Remark>,
}

/// The remark on how connections without a byte are logged.
const DONTLOGNULL: &str =
    "connections without a byte are not logged, whichever section they came by; they are counted";

/// Translates a whole text.
pub(super) fn translate(text: &str, environment: &Variables<'_>) -> Translation {
    let (mut page, mut remarks) = (Page::default(), Remarks::default());
    let sections = sections(text, environment, &mut remarks);
    let global = global::read(&sections, &mut remarks);
    if let Some(maxconn) = &global.maxconn {
        let number = i64::try_from(maxconn.value).unwrap_or(i64::MAX);
        page.set(&["max_connections"], number, &maxconn.span);
        remarks.translated(&maxconn.span, "maxconn", MAXCONN);
    }
    if let Some(drain) = &global.hard_stop_after {
        page.set(&["upgrade", "drain"], span(drain.value), &drain.span);
        remarks.translated(&drain.span, "hard-stop-after", HARD_STOP);
    }
    let proxies = proxies(&sections, &mut remarks);
    if let Some(line) = proxies.iter().find(|proxy| proxy.is_front()).and_then(|it| it.dontlognull.as_ref()) {
        page.set(&["log", "connections"], "useful", line);
        remarks.translated(line, "option dontlognull", DONTLOGNULL);
    }
    if proxies.iter().any(Proxy::is_front) {
        connect(&proxies, &global, &mut page, &mut remarks);
    } else if !remarks.0.iter().any(Remark::is_refusal) {
        let why = "there is no frontend or listen section in tcp mode, so there is nothing to serve; add one";
        remarks.refuse(&(0..0), "the file", why);
    }
    remarks.0.sort_by_key(|remark| remark.span.start);
    Translation { toml: page.toml(), spans: page.spans(), remarks: remarks.0 }
}

/// Every section that takes clients or has servers, but those that only show HAProxy's own figures.
fn proxies(sections: &[Section], remarks: &mut Remarks) -> Vec<Proxy> {
    let mut proxies: Vec<Proxy> = Vec::new();
    for (place, section) in sections.iter().enumerate() {
        match section.kind() {
            "global" | "defaults" => {}
            "frontend" | "backend" | "listen" => {
                let layers = layers_of(sections, place);
                let lines: Vec<&Line> = layers.iter().flat_map(|layer| &layer.lines).collect();
                let proxy = takes_part(section, &lines, sections, remarks)
                    .and_then(|()| passes_tcp(section, &lines, remarks))
                    .and_then(|()| proxy::read(section, &layers, remarks));
                let Some(proxy) = proxy else { continue };
                if is_twin(&proxy, &proxies) {
                    let why = "another section has this name; give each its own";
                    remarks.refuse(&proxy.name.span, section.kind(), why);
                } else {
                    proxies.push(proxy);
                }
            }
            other => other_section(other, section, remarks),
        }
    }
    proxies
}

/// Whether clients can get to a section at all; what is in it does not matter otherwise.
fn takes_part(section: &Section, lines: &[&Line], sections: &[Section], remarks: &mut Remarks) -> Option<()> {
    let switch = lines.iter().rev().find(|line| line.keyword.is("disabled") || line.keyword.is("enabled"));
    if let Some(line) = switch.filter(|line| line.keyword.is("disabled")) {
        remarks.ignored(&line.span(), section.kind(), "the section is disabled, so it is left out");
        return None;
    }
    let name = section.head.argument(0);
    let leads_here = |line: &&Line| {
        (line.keyword.is("use_backend") || line.keyword.is("default_backend"))
            && (line.argument(0) == name || line.argument(0).contains("%["))
    };
    if section.kind() == "backend"
        && !sections.iter().flat_map(|section| &section.lines).any(|line| leads_here(&line))
    {
        remarks.ignored(&section.head.span(), "backend", NO_CLIENTS);
        return None;
    }
    Some(())
}

/// What is said of a backend that nobody is sent to.
const NO_CLIENTS: &str = "no frontend sends clients here, so it is left out";

fn is_twin(proxy: &Proxy, others: &[Proxy]) -> bool {
    others.iter().any(|other| {
        let both = proxy.is_front() && other.is_front() || proxy.is_back() && other.is_back();
        both && other.name.text == proxy.name.text
    })
}

fn other_section(kind: &str, section: &Section, remarks: &mut Remarks) {
    let span = &section.head.span();
    let why = match kind {
        "userlist" | "http-errors" => "it is about HTTP",
        "peers" => "there are no stick tables to tell others of",
        "mailers" => "Raftgate sends no mail; its metrics tell",
        "resolvers" => "names are looked up by the system's own means, again every `dns.refresh`",
        "ring" => "Raftgate logs to standard error",
        _ => {
            let why = "Raftgate does nothing like it; remove the section";
            return remarks.refuse(span, kind, why);
        }
    };
    remarks.ignored(span, kind, why);
}

/// Whether a section is in tcp mode.
fn passes_tcp(section: &Section, lines: &[&Line], remarks: &mut Remarks) -> Option<()> {
    let mode = lines.iter().rev().find(|line| line.keyword.is("mode"));
    let Some(mode) = mode.filter(|line| line.argument(0) != "tcp") else { return Some(()) };
    let has = |keywords: &[&str]| lines.iter().any(|line| keywords.contains(&line.keyword.text.as_str()));
    let shows_figures = has(&["stats", "monitor-uri"])
        || lines.iter().any(|line| line.keyword.is("http-request") && line.argument(0) == "use-service");
    let serves = has(&["server", "server-template", "dispatch", "use_backend", "default_backend"]);
    if mode.argument(0) == "http" && shows_figures && !serves {
        let monitor = lines.iter().rev().find(|line| line.keyword.is("monitor-uri"));
        match monitor {
            Some(line) => remarks.not_kept(&line.span(), "monitor-uri", health_port(lines, line.argument(0))),
            None => remarks.ignored(&section.head.span(), section.kind(), FIGURES),
        }
        return None;
    }
    let name = section.head.argument(0);
    let why = format!(
        "Raftgate passes TCP through and reads no HTTP, as `{} {name}` would have to; use mode tcp where clients' streams \
         can go to the leader as they are, and leave the section to HAProxy where not",
        section.kind()
    );
    remarks.refused(&mode.span(), "mode", why)
}

const FIGURES: &str = "it only shows HAProxy's own state; Raftgate shows its status and metrics on `admin.bind`, 127.0.0.1:9180 unless you \
     say otherwise";

/// What becomes of a port on which others ask whether HAProxy is well.
fn health_port(lines: &[&Line], uri: &str) -> String {
    let binds: Vec<&str> =
        lines.iter().filter(|line| line.keyword.is("bind")).map(|it| it.argument(0)).collect();
    format!(
        "whatever asks {} for {uri}, such as keepalived, a load balancer or a kubelet, gets no answer any more, and may take \
         this machine out of service: let it ask /readyz of `admin.bind`, 127.0.0.1:9180 unless you say otherwise, and bind \
         that to an address which it reaches",
        binds.join(" and ")
    )
}

/// Writes down each listener, and each cluster that one of them leads to.
fn connect(proxies: &[Proxy], global: &global::Global, page: &mut Page, remarks: &mut Remarks) {
    let mut led_to: Vec<(&Proxy, &Proxy)> = Vec::new();
    for front in proxies.iter().filter(|proxy| proxy.is_front()) {
        let Some(plan) = routes::plan(front, proxies, remarks) else { continue };
        listener::write(front, &plan, page, remarks);
        led_to.extend(plan.backs().map(|back| (front, back)));
    }
    for back in proxies.iter().filter(|proxy| proxy.is_back()) {
        let fronts: Vec<&Proxy> =
            led_to.iter().filter(|(_, to)| to.name == back.name).map(|(front, _)| *front).collect();
        if fronts.is_empty() && back.is_front() {
            // It only sends its clients on.
        } else if fronts.is_empty() {
            remarks.ignored(&back.name.span, &back.kind, NO_CLIENTS);
        } else {
            cluster::write(&Ground::new(back, &fronts, proxies), global, page, remarks);
        }
    }
}
