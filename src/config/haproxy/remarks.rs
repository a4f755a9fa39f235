//! What is to be said about single lines of a `haproxy.cfg`.

use std::fmt;
use std::ops::Range;

/// What became of something that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is taken over, but there is something to know about it.
    Translated,
    /// It is left out, and that harms nobody.
    Ignored,
    /// It is left out, and that may be noticed.
    NotKept,
    /// It cannot be taken over, and leaving it out would change what clients get.
    Refused,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Remark {
    /// Where in the file, in bytes.
    pub(in crate::config) span: Range<usize>,
    /// The directive or option.
    about: String,
    kind: Kind,
    /// Why, and what to do.
    why: String,
}

impl Remark {
    pub(in crate::config) fn is_refusal(&self) -> bool {
        self.kind == Kind::Refused
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Translated => "translated",
            Kind::Ignored => "ignored",
            Kind::NotKept => "NOT KEPT",
            Kind::Refused => "refused",
        };
        write!(f, "{}: {kind}: {}", self.about, self.why)
    }
}

/// What is said of each `maxconn` that bounds clients.
pub(super) const MAXCONN: &str = "clients beyond it are refused at once, where HAProxy leaves them in the kernel's queue until others have gone; let it be as \
     many as may come";

/// The remark on `hard-stop-after`.
pub(super) const HARD_STOP: &str = "taken for how long sessions of an old process may last after `raftgate upgrade`; a reload ends none, and how long they may \
     last when the gate is stopped is `shutdown.drain`, 20s unless you say otherwise";

/// All that is said; never the same twice, although a `defaults` section is read once for each that it serves.
#[derive(Debug, Default)]
pub(super) struct Remarks(pub(super) Vec<Remark>);

impl Remarks {
    pub(super) fn translated(&mut self, span: &Range<usize>, about: &str, why: impl Into<String>) {
        self.say(Kind::Translated, span, about, why.into());
    }

    pub(super) fn ignored(&mut self, span: &Range<usize>, about: &str, why: impl Into<String>) {
        self.say(Kind::Ignored, span, about, why.into());
    }

    pub(super) fn not_kept(&mut self, span: &Range<usize>, about: &str, why: impl Into<String>) {
        self.say(Kind::NotKept, span, about, why.into());
    }

    pub(super) fn refuse(&mut self, span: &Range<usize>, about: &str, why: impl Into<String>) {
        self.say(Kind::Refused, span, about, why.into());
    }

    /// The same, where the `None` stands for what there is not.
    pub(super) fn refused<T>(
        &mut self,
        span: &Range<usize>,
        about: &str,
        why: impl Into<String>,
    ) -> Option<T> {
        self.refuse(span, about, why);
        None
    }

    fn say(&mut self, kind: Kind, span: &Range<usize>, about: &str, why: String) {
        let remark = Remark { span: span.clone(), about: about.to_owned(), kind, why };
        if !self.0.contains(&remark) {
            self.0.push(remark);
        }
    }
}
