//! Where the clients of one frontend go: `use_backend`, `default_backend` and `tcp-request content`, as a table of which
//! the first entry that matches decides.
//!
//! HAProxy asks the content rules first. Both lists are read in two columns: what they do with `ClientHello`s, and
//! what with anything else.

use std::ops::Range;
use std::time::Duration;

use super::conditions::{Case, cases};
use super::proxy::Proxy;
use super::remarks::Remarks;
use super::sections::Line;
use super::{Written, times};

/// The lines of a section that say where clients go, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Rules {
    acls: Vec<Line>,
    use_backend: Vec<Line>,
    /// `tcp-request content`.
    content: Vec<Line>,
    inspect_delay: Option<Written<Duration>>,
}

/// Where some clients go.
#[derive(Clone, Debug)]
pub(super) enum Target<'p> {
    /// To this backend; and where that is written.
    Back(&'p Proxy, Range<usize>),
    /// Nowhere.
    Reject,
}

impl Target<'_> {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Target::Back(this, _), Target::Back(that, _)) => this.name.text == that.name.text,
            (Target::Reject, Target::Reject) => true,
            _ => false,
        }
    }
}

/// Where all clients of a frontend go.
#[derive(Debug)]
pub(super) struct Plan<'p> {
    /// Hellos, and where the line of each route is.
    pub(super) routes: Vec<(Case, Target<'p>, Range<usize>)>,
    /// What is taken by none of these.
    pub(super) others: Target<'p>,
    /// How long a hello is waited for, if that is said.
    pub(super) hello_timeout: Option<Written<Duration>>,
}

impl<'p> Plan<'p> {
    /// Every backend that clients may get to.
    pub(super) fn backs(&self) -> impl Iterator<Item = &'p Proxy> {
        let targets = self.routes.iter().map(|(_, target, _)| target).chain([&self.others]);
        targets.filter_map(|target| match target {
            Target::Back(back, _) => Some(*back),
            Target::Reject => None,
        })
    }
}

impl Rules {
    pub(super) fn acl(&mut self, line: &Line) {
        self.acls.push(line.clone());
    }

    pub(super) fn use_backend(&mut self, line: &Line, remarks: &mut Remarks) {
        if line.argument(0).contains("%[") {
            let why = "Raftgate computes no names of backends; write one, and a line for each";
            return remarks.refuse(&line.span(), "use_backend", why);
        }
        self.use_backend.push(line.clone());
    }

    /// Not each that is written is used.
    pub(super) fn tell_of_unused_acls(&self, remarks: &mut Remarks) {
        let conditions = self.use_backend.iter().chain(&self.content);
        let used: Vec<&str> = conditions
            .flat_map(|line| &line.arguments)
            .map(|word| word.text.trim_start_matches('!'))
            .collect();
        for line in self.acls.iter().filter(|line| !used.contains(&line.argument(0))) {
            remarks.ignored(&line.keyword.span, "acl", "by itself it changes nothing");
        }
    }

    /// Whether the line has been taken in: rules about clients' addresses and the like are for others to tell of.
    pub(super) fn tcp_request(&mut self, line: &Line, remarks: &mut Remarks) -> bool {
        match (line.argument(0), line.argument(1)) {
            ("inspect-delay", delay) => match times::parse(delay) {
                Ok(value) => self.inspect_delay = Some(Written { value, span: line.span() }),
                Err(why) => remarks.refuse(&line.span(), "tcp-request inspect-delay", why),
            },
            ("content", "accept" | "reject") => self.content.push(line.clone()),
            ("content", "capture") => {
                let why = "Raftgate logs in its own words; see `log.connections`";
                remarks.ignored(&line.span(), "tcp-request content capture", why);
            }
            _ => return false,
        }
        true
    }
}

/// Reads the rules of a frontend; nothing, if they lead nowhere.
pub(super) fn plan<'p>(front: &'p Proxy, proxies: &'p [Proxy], remarks: &mut Remarks) -> Option<Plan<'p>> {
    let mut columns = Columns::default();
    let mut whole = columns.content(&front.rules, remarks);
    for line in &front.rules.use_backend {
        let cases = cases(line, 1, &front.rules.acls, remarks);
        let back = named(line.argument(0), &line.span(), proxies, remarks);
        let (Some(cases), Some(back)) = (cases, back) else {
            whole = false;
            continue;
        };
        if !columns.take(&cases, &Target::Back(back, line.span()), &line.span()) {
            let why = "the ones above take every client, so this is never reached";
            remarks.ignored(&line.span(), "use_backend", why);
        }
    }
    let default = match &front.default_backend {
        Some(to) if columns.is_open() => {
            let back = named(&to.value, &to.span, proxies, remarks);
            whole &= back.is_some();
            back.map(|back| Target::Back(back, to.span.clone()))
        }
        Some(_) => None,
        None => front.is_back().then(|| Target::Back(front, front.name.span.clone())),
    };
    if let Some(default) = default {
        columns.take(&[Case::default()], &default, &front.name.span);
    }
    let plan = columns.plan(front, remarks);
    if plan.backs().next().is_none() {
        // What is wrong has been said otherwise.
        if whole {
            let why = if front.rules.content.is_empty() {
                "it sends clients nowhere; add default_backend and the name of a backend"
            } else {
                "it sends clients nowhere; add default_backend and the name of a backend, and see that the rules of \
                 `tcp-request content` do not reject everybody"
            };
            remarks.refuse(&front.name.span, &front.kind, why);
        }
        return None;
    }
    Some(plan)
}

fn named<'p>(
    name: &str,
    span: &Range<usize>,
    proxies: &'p [Proxy],
    remarks: &mut Remarks,
) -> Option<&'p Proxy> {
    let found = proxies.iter().find(|proxy| proxy.is_back() && proxy.name.text == name);
    found.or_else(|| {
        let why = format!("there is no backend {name:?} in tcp mode; name one that is there");
        remarks.refused(span, "the backend", why)
    })
}

/// What has been decided so far.
#[derive(Default)]
struct Columns<'p> {
    routes: Vec<(Case, Target<'p>, Range<usize>)>,
    /// All other hellos.
    hellos: Option<Target<'p>>,
    /// What is no hello.
    others: Option<Target<'p>>,
}

impl<'p> Columns<'p> {
    fn is_open(&self) -> bool {
        self.hellos.is_none() || self.others.is_none()
    }

    /// Sends those whom nothing before has taken; says whether there were any.
    fn take(&mut self, cases: &[Case], target: &Target<'p>, span: &Range<usize>) -> bool {
        let mut taken = false;
        for case in cases {
            if case.takes_others() && self.others.is_none() {
                self.others = Some(target.clone());
                taken = true;
            }
            if case.takes_hellos() && self.hellos.is_none() {
                taken = true;
                if case.takes_all_hellos() {
                    self.hellos = Some(target.clone());
                } else {
                    self.add(case, target, span);
                }
            }
        }
        taken
    }

    /// Names with the same target and protocols become one route.
    fn add(&mut self, case: &Case, target: &Target<'p>, span: &Range<usize>) {
        match self.routes.last_mut() {
            Some((last, to, _))
                if to.is(target)
                    && last.alpn == case.alpn
                    && !last.names.is_empty()
                    && !case.names.is_empty() =>
            {
                last.names.extend(case.names.iter().cloned());
            }
            _ => self.routes.push((case.clone(), target.clone(), span.clone())),
        }
    }

    /// `tcp-request content`: whom it accepts goes on to `use_backend`, which a table cannot say of some names and
    /// not of others. Says whether all of it could be.
    fn content(&mut self, rules: &Rules, remarks: &mut Remarks) -> bool {
        let mut whole = true;
        let (mut hellos_go_on, mut others_go_on) = (false, false);
        let mut some_go_on = None;
        for line in &rules.content {
            let about = format!("tcp-request content {}", line.argument(1));
            let Some(cases) = cases(line, 2, &rules.acls, remarks) else {
                whole = false;
                continue;
            };
            for case in &cases {
                let hellos = case.takes_hellos() && !hellos_go_on && self.hellos.is_none();
                let others = case.takes_others() && !others_go_on && self.others.is_none();
                if line.argument(1) == "accept" {
                    others_go_on |= others;
                    hellos_go_on |= hellos && case.takes_all_hellos();
                    if hellos && !hellos_go_on {
                        some_go_on = Some(line.span());
                    }
                    continue;
                }
                if !hellos && !others {
                    remarks.ignored(&line.span(), &about, "the rules above let all such clients in");
                } else if let Some(accepted) = some_go_on.take_if(|_| hellos) {
                    let why = "Raftgate's routes decide at once, so that nobody is let in before others are rejected; give \
                               each name its use_backend, leave default_backend out, and whoever is left is refused";
                    remarks.refuse(&accepted, "tcp-request content accept", why);
                    whole = false;
                } else {
                    let case = Case {
                        hello: match (hellos, others) {
                            (true, true) => None,
                            (hellos, _) => Some(hellos),
                        },
                        ..case.clone()
                    };
                    self.take(&[case], &Target::Reject, &line.span());
                }
            }
        }
        whole
    }

    fn plan(self, front: &Proxy, remarks: &mut Remarks) -> Plan<'p> {
        let Columns { mut routes, hellos, others } = self;
        let (hellos, others) = (hellos.unwrap_or(Target::Reject), others.unwrap_or(Target::Reject));
        if !hellos.is(&others) || matches!(hellos, Target::Reject) {
            let span = match &hellos {
                Target::Back(_, span) => span.clone(),
                Target::Reject => front.name.span.clone(),
            };
            routes.push((Case::default(), hellos, span));
        }
        let hello_timeout = patience(front, routes.first().map(|(_, _, span)| span), remarks);
        Plan { routes, others, hello_timeout }
    }
}

/// How long a hello is waited for; `first` is where the first route is, if there is one.
fn patience(front: &Proxy, first: Option<&Range<usize>>, remarks: &mut Remarks) -> Option<Written<Duration>> {
    let Rules { content, inspect_delay, .. } = &front.rules;
    let delay = inspect_delay.as_ref().filter(|delay| !delay.value.is_zero());
    match (first, delay) {
        (Some(_), Some(delay)) if !content.is_empty() => Some(delay.clone()),
        (Some(first), _) => {
            let why = "HAProxy looks at once unless it has `tcp-request inspect-delay` and a `tcp-request content` rule, and \
                       misses what comes later; Raftgate waits for the hello, up to `hello_timeout`";
            remarks.translated(first, "use_backend", why);
            None
        }
        (None, _) => {
            let waits = inspect_delay.iter().map(|delay| delay.span.clone());
            for span in waits.chain(content.iter().map(Line::span)) {
                let why = "no client is routed by what it says, so that nobody waits for it";
                remarks.ignored(&span, "tcp-request", why);
            }
            None
        }
    }
}
