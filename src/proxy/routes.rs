//! Which cluster a client goes to by what its `ClientHello` says, decided without IO.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::hello::names::Names;

#[cfg(test)]
mod tests;

/// A listener's routes, in the order in which they are tried. Where there is none, no client is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The first that takes a `ClientHello` decides.
    pub table: Arc<[Route]>,
    /// How long a client's hello is waited for.
    pub hello_timeout: Duration,
}

/// One route. Both conditions have to hold; an empty one always does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The names that it is for, any of them.
    pub server_names: Vec<ServerNames>,
    /// The protocols that it is for: the client has to offer any of them.
    pub alpn: Vec<Vec<u8>>,
    /// Where it leads.
    pub target: Target,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a cluster: a place in [`Settings::clusters`](super::Settings::clusters).
    Cluster(usize),
    /// Nowhere: the client is refused.
    Reject,
}

/// One name, or all below one. Held in small letters and without a dot at the end, as names are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerNames {
    /// This one.
    Exactly(String),
    /// Every name that ends with a dot and this: one label more, or several. Not the name itself.
    Below(String),
}

impl Routes {
    /// No routes.
    pub fn none() -> Self {
        Routes { table: Arc::from([]), hello_timeout: Duration::from_secs(5) }
    }

    /// Where a hello leads; `None` if no route takes it.
    pub(super) fn target(&self, names: &Names) -> Option<Target> {
        self.table.iter().find(|route| route.takes(names)).map(|route| route.target)
    }

    /// Whether some route takes every hello.
    pub fn cover_all(&self) -> bool {
        self.table.iter().any(Route::takes_all)
    }

    /// The clusters that clients of this name (`None`: without one) may get to, whatever else they say; `default` is the
    /// cluster of those whom no route takes.
    pub fn reached_by(&self, name: Option<&str>, default: Option<usize>) -> Vec<usize> {
        let mut reached = Vec::new();
        let mut targets = self.table.iter().filter(|route| route.takes_name(name.map(str::as_bytes)));
        let last = targets.find_map(|route| {
            reached.extend(route.target.cluster());
            route.alpn.is_empty().then_some(())
        });
        if last.is_none() {
            reached.extend(default);
        }
        reached.sort_unstable();
        reached.dedup();
        reached
    }
}

impl Default for Routes {
    fn default() -> Self {
        Routes::none()
    }
}

impl Route {
    fn takes(&self, names: &Names) -> bool {
        let spoken = |wanted: &Vec<u8>| names.alpn.contains(wanted);
        self.takes_name(names.server_name.as_deref())
            && (self.alpn.is_empty() || self.alpn.iter().any(spoken))
    }

    fn takes_name(&self, name: Option<&[u8]>) -> bool {
        self.server_names.is_empty()
            || name.is_some_and(|name| self.server_names.iter().any(|wanted| wanted.has(name)))
    }

    fn takes_all(&self) -> bool {
        self.server_names.is_empty() && self.alpn.is_empty()
    }

    /// Whether it takes every hello with one of these protocols, or with any if there are none, that has a name out of
    /// `names` (`None`: whatever its name).
    pub fn covers(&self, names: Option<&ServerNames>, alpn: &[Vec<u8>]) -> bool {
        let covers_names = self.server_names.is_empty()
            || names.is_some_and(|names| self.server_names.iter().any(|wanted| wanted.covers(names)));
        let covers_protocols = self.alpn.is_empty()
            || !alpn.is_empty() && alpn.iter().all(|protocol| self.alpn.contains(protocol));
        covers_names && covers_protocols
    }
}

impl Target {
    /// The cluster, if it leads to one.
    pub fn cluster(self) -> Option<usize> {
        match self {
            Target::Cluster(cluster) => Some(cluster),
            Target::Reject => None,
        }
    }
}

impl ServerNames {
    /// Whether it has a name as a client sent it.
    fn has(&self, name: &[u8]) -> bool {
        let name = name.strip_suffix(b".").unwrap_or(name);
        match self {
            ServerNames::Exactly(wanted) => name.eq_ignore_ascii_case(wanted.as_bytes()),
            ServerNames::Below(parent) => below(name, parent.as_bytes()),
        }
    }

    /// Whether it has every name that the other has.
    fn covers(&self, other: &ServerNames) -> bool {
        match (self, other) {
            (ServerNames::Exactly(mine), ServerNames::Exactly(theirs)) => mine == theirs,
            (ServerNames::Exactly(_), ServerNames::Below(_)) => false,
            (ServerNames::Below(mine), ServerNames::Exactly(theirs)) => {
                below(theirs.as_bytes(), mine.as_bytes())
            }
            (ServerNames::Below(mine), ServerNames::Below(theirs)) => {
                mine == theirs || below(theirs.as_bytes(), mine.as_bytes())
            }
        }
    }
}

/// Whether a name lies below another: a label at least, a dot, and that one.
fn below(name: &[u8], parent: &[u8]) -> bool {
    let Some(dot) = name.len().checked_sub(parent.len() + 1) else { return false };
    dot > 0 && name[dot] == b'.' && name[dot + 1..].eq_ignore_ascii_case(parent)
}

/// As users write it.
impl fmt::Display for ServerNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerNames::Exactly(name) => f.write_str(name),
            ServerNames::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}
