//! Sections whose check is answered by other nodes than the leader: refused, and what to write in their place.

use toml_edit::{Key, Value};

use super::check::Check;
use super::known::{Tells, known, path_of};
use super::proxy::Proxy;
use crate::config::vault_health;
use crate::tenure::To;

/// A backend, and the sections around it.
pub(super) struct Ground<'p> {
    pub(super) backend: &'p Proxy,
    /// The sections that its clients come from.
    pub(super) fronts: &'p [&'p Proxy],
    leader: Leader<'p>,
}

/// The section that asks which of a backend's servers leads.
#[derive(Clone, Copy)]
enum Leader<'p> {
    /// The section of this name.
    Of(&'p str),
    /// Sections of the file ask for leaders, but of other servers.
    Elsewhere,
    Nowhere,
}

impl<'p> Ground<'p> {
    pub(super) fn new(backend: &'p Proxy, fronts: &'p [&'p Proxy], proxies: &'p [Proxy]) -> Self {
        let asking =
            || proxies.iter().filter(|proxy| proxy.name.text != backend.name.text && asks_for_leader(proxy));
        let of_these = asking().find(|proxy| hosts(proxy).any(|host| hosts(backend).any(|own| own == host)));
        let leader = match of_these {
            Some(proxy) => Leader::Of(&proxy.name.text),
            None if asking().next().is_some() => Leader::Elsewhere,
            None => Leader::Nowhere,
        };
        Ground { backend, fronts, leader }
    }

    /// How clients get to all nodes alike, where nodes are alike to the check, too.
    pub(super) fn instead_of_alike(&self) -> String {
        match self.leader {
            Leader::Nowhere => {
                "Raftgate follows leaders, and no section of this file asks who leads: where all nodes are \
                                alike, stay with HAProxy; where one of them leads, ask who"
                    .to_owned()
            }
            Leader::Of(_) | Leader::Elsewhere => self.instead(To::Any),
        }
    }

    /// How a pool of other nodes than the leader is written: the question that tells who leads tells who follows, too.
    pub(super) fn instead(&self, to: To) -> String {
        let (first, cluster, note) = match self.leader {
            Leader::Of(name) => ("leave this section out, import the rest", name, ""),
            Leader::Elsewhere => {
                ("leave this section out, import the leader's", "...", "    # the leader's section")
            }
            Leader::Nowhere => {
                ("add a section that asks who leads, leave this one out", "...", "    # the leader's section")
            }
        };
        let mut fronts = self.fronts.iter();
        let bind = fronts.find_map(|front| front.binds.iter().flat_map(|bind| &bind.addresses).next());
        let name = self.fronts.first().map_or(&self.backend.name.text, |front| &front.name.text);
        format!(
            "In Raftgate a pool is a listener of the leader's cluster, which is asked who leads: {first}, and add to the \
             TOML\n\
             \x20   [listeners.{}]\n\
             \x20   bind = {}\n\
             \x20   cluster = {}{note}\n\
             \x20   to = {}",
            Key::new(name),
            Value::from(bind.map_or("...", |bind| &bind.value)),
            Value::from(cluster),
            Value::from(to.as_str()),
        )
    }

    /// Why a question does not tell who leads; `None` if it may.
    pub(super) fn objection(
        &self,
        uri: &str,
        leads: impl Fn(u16) -> bool,
        looks_into_body: bool,
    ) -> Option<String> {
        let path = path_of(uri);
        match known(uri)? {
            Tells::Readers(to, beyond) => Some(self.of_readers(uri, to, beyond)),
            Tells::Alike => {
                let instead = self.instead_of_alike();
                Some(format!("{path} is answered alike by every node that is well. {instead}"))
            }
            Tells::Body(instead) => Some(instead.to_owned()),
            Tells::Leader(..) if path == "/v1/sys/leader" && !looks_into_body => Some(
                "every node answers 200 here and says in the body who leads; ask GET /v1/sys/health, or add http-check \
                 expect string '\"is_self\":true'"
                    .to_owned(),
            ),
            Tells::Leader(..) if path == vault_health::PATH => {
                let why = vault_health::objection(uri, leads)?;
                let name = self.fronts.first().map_or(&self.backend.name.text, |front| &front.name.text);
                let to_all = uri.contains("standby").then(|| {
                    format!(
                        "; where clients are to go to all nodes, import the file without it, and add to the TOML's \
                         [listeners.{}] the line to = \"any\"",
                        Key::new(name)
                    )
                });
                Some(why + &to_all.unwrap_or_default())
            }
            Tells::Leader(..) => None,
        }
    }

    fn of_readers(&self, uri: &str, to: To, beyond: Option<&str>) -> String {
        let path = path_of(uri);
        let nodes = if to == To::Any { "replicas and the primary" } else { "replicas" };
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        let asked = |name: &str| query.split(['&', ';']).any(|parameter| parameter.starts_with(name));
        let lost: Vec<&str> = [
            beyond,
            asked("lag=").then_some("replicas that are behind"),
            asked("tag_").then_some("replicas by their tags"),
            asked("replication_state=").then_some("replicas by their state"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let limits = if lost.is_empty() {
            String::new()
        } else {
            let lost = lost.join(" or ");
            let who = if to == To::Any { "node" } else { "follower" };
            format!(
                "Raftgate does not tell {lost} from others: its listener takes clients to any {who}, so stay with HAProxy \
                 here where that matters. "
            )
        };
        format!("{path} is answered by {nodes}. {limits}{}", self.instead(to))
    }
}

/// Whether a section's check is, for all that is known, answered by leaders alone.
fn asks_for_leader(proxy: &Proxy) -> bool {
    let checks = &proxy.checks;
    let is_http = checks.kind.as_ref().is_some_and(|kind| matches!(kind.value, Check::Http));
    let uri = checks.request.uri.as_ref().map_or("/", |uri| &uri.value);
    let leads = |status| (200..=399).contains(&status);
    let is_open = match known(uri) {
        Some(Tells::Leader(..)) => true,
        Some(Tells::Readers(..) | Tells::Alike | Tells::Body(_)) => false,
        None => proxy.balance.as_ref().is_none_or(|balance| balance.value == "first"),
    };
    let is_of_vault = path_of(uri) == vault_health::PATH;
    proxy.is_back() && is_http && is_open && !(is_of_vault && vault_health::objection(uri, leads).is_some())
}

/// The hosts of a section's servers.
fn hosts(proxy: &Proxy) -> impl Iterator<Item = &str> {
    proxy.servers.iter().map(|server| {
        let address = server.address.text.as_str();
        address.rsplit_once(':').map_or(address, |(host, _)| host)
    })
}
