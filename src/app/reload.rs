//! Goes over to another configuration while the gate serves (O1, O2).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tracing::{info, warn};

use super::control::Prepared;
use super::gate::{Gate, StartError};
use crate::config::{Cluster, Config, Listener, LogSettings};
use crate::proxy::{Route, Target};

/// What a reload has changed, and what it has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Clusters and listeners that are new, that are other than before, and that are configured no more, by name.
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    /// Files of certificates that hold others than before.
    renewed: Renewed,
    /// Keys that are other than before, but only an upgrade or a restart reads again.
    waiting: Vec<&'static str>,
}

/// Files of certificates that hold others than before, each with the names of the clusters that read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Renewed(BTreeMap<String, Vec<Arc<str>>>);

impl Renewed {
    pub(super) fn from_clusters(prepared: &[Prepared]) -> Self {
        let mut files = BTreeMap::<String, Vec<Arc<str>>>::new();
        for cluster in prepared {
            for file in cluster.renewed() {
                files.entry(file.clone()).or_default().push(Arc::clone(cluster.name()));
            }
        }
        Renewed(files)
    }
}

impl fmt::Display for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (file, clusters)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let word = if clusters.len() == 1 { "cluster" } else { "clusters" };
            write!(f, "{comma}{file} ({word} {})", clusters.join(", "))?;
        }
        Ok(())
    }
}

impl Gate {
    /// Goes over to this configuration. Sessions stay, and what is not other than before goes on as it did: sockets,
    /// probes, claims, routes. Files of certificates are read again. All is checked before anything changes.
    ///
    /// # Errors
    /// If an address cannot be bound, or TLS cannot be set up; nothing has changed then.
    pub fn reload(&mut self, config: &Config) -> Result<Reloaded, StartError> {
        let mut reloaded = Reloaded::between(&self.config, config);
        reloaded.renewed = self.adopt(config)?;
        for key in &reloaded.waiting {
            warn!(key, "this key is read at the start alone: upgrade or restart for it");
        }
        info!(outcome = %reloaded, "configuration reloaded");
        Ok(reloaded)
    }
}

impl Reloaded {
    fn between(before: &Config, after: &Config) -> Self {
        let mut reloaded = Reloaded { waiting: waiting(before, after), ..Reloaded::default() };
        reloaded.compare("cluster", &clusters(before), &clusters(after));
        reloaded.compare("listener", &listeners(before), &listeners(after));
        reloaded
    }

    fn compare<T: PartialEq>(
        &mut self,
        what: &str,
        before: &BTreeMap<Arc<str>, T>,
        after: &BTreeMap<Arc<str>, T>,
    ) {
        for (name, now) in after {
            match before.get(name) {
                None => self.added.push(format!("{what} {name}")),
                Some(was) if was != now => self.changed.push(format!("{what} {name}")),
                Some(_) => {}
            }
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        self.removed.extend(gone.map(|name| format!("{what} {name}")));
    }
}

fn clusters(config: &Config) -> BTreeMap<Arc<str>, &Cluster> {
    config.clusters.iter().map(|cluster| (Arc::clone(&cluster.name), &**cluster)).collect()
}

fn listeners(config: &Config) -> BTreeMap<Arc<str>, Named> {
    config.listeners.iter().map(|listener| (Arc::clone(&listener.name), named(config, listener))).collect()
}

/// A listener, and the names of the clusters that it and each of its routes leads to.
type Named = (Listener, Vec<Option<Arc<str>>>);

/// A listener with the names of the clusters that it leads to in place of their places, which say nothing where clusters
/// come and go.
fn named(config: &Config, listener: &Listener) -> Named {
    let name = |place: usize| config.clusters.get(place).map(|cluster| Arc::clone(&cluster.name));
    let routes = listener.routes.table.iter();
    let targets = routes.clone().map(|route| route.target.cluster().and_then(name));
    let targets = std::iter::once(listener.cluster.and_then(name)).chain(targets).collect();
    let mut listener = listener.clone();
    listener.routes.table = routes.map(|route| Route { target: Target::Reject, ..route.clone() }).collect();
    listener.cluster = None;
    (listener, targets)
}

/// The second configuration but for what only the start reads: there the first one is in force on.
pub(super) fn in_force(before: &Config, after: &Config) -> Config {
    Config {
        workers: before.workers,
        admin_bind: before.admin_bind,
        admin_socket: before.admin_socket.clone(),
        admin_hosts: before.admin_hosts.clone(),
        log: LogSettings { format: before.log.format, ..after.log },
        ..after.clone()
    }
}

/// The keys that are other than before and that no reload can change: those that [`in_force`] keeps.
fn waiting(before: &Config, after: &Config) -> Vec<&'static str> {
    let keys = [
        ("workers", before.workers == after.workers),
        ("admin.bind", before.admin_bind == after.admin_bind),
        ("admin.socket", before.admin_socket == after.admin_socket),
        ("admin.hosts", before.admin_hosts == after.admin_hosts),
        ("log.format", before.log.format == after.log.format),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let mut parts: Vec<String> = lists
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        if !self.renewed.0.is_empty() {
            parts.push(format!("new certificates: {}", self.renewed));
        }
        if parts.is_empty() {
            parts.push("clusters and listeners are as before".to_owned());
        }
        if !self.waiting.is_empty() {
            parts.push(format!("read at the start alone, upgrade for it: {}", self.waiting.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, load_text};

    fn config(toml: &str) -> Config {
        load_text("t.toml", toml).unwrap().config
    }

    #[test]
    fn what_has_changed_is_told_by_name_and_nothing_else() {
        let edge = "listeners.edge = { bind = \":1\", cluster = \"b\" }\n";
        let b = "clusters.b.nodes.n = \"10.0.0.1:1\"\n";
        let before = config(&format!("{edge}{b}"));
        let told = |toml: &str| Reloaded::between(&before, &config(toml)).to_string();
        assert_eq!(told(&format!("{b}{edge}")), "clusters and listeners are as before");
        // Another cluster that comes first by name changes b's place, and nothing about the listener.
        let a = "clusters.a.nodes.n = \"10.0.0.2:1\"\nlisteners.other = { bind = \":2\", cluster = \"a\" }\n";
        assert_eq!(told(&format!("{a}{edge}{b}")), "added: cluster a, listener other");
        let elsewhere = edge.replace("\"b\"", "\"a\"");
        assert_eq!(
            told(&format!("clusters.a.nodes.n = \"10.0.0.2:1\"\n{elsewhere}")),
            "added: cluster a; changed: listener edge; removed: cluster b"
        );
        assert_eq!(told(&format!("{edge}{b}clusters.b.hold.timeout = \"3s\"")), "changed: cluster b");
        let start = "workers = 9\nadmin.bind = \"\"\n";
        assert_eq!(
            told(&format!("{start}{edge}{b}")),
            "clusters and listeners are as before; read at the start alone, upgrade for it: workers, admin.bind"
        );
    }

    #[test]
    fn what_waits_for_a_start_goes_on_waiting() {
        let before = config(
            "listeners.edge = { bind = \":1\", cluster = \"b\" }\nclusters.b.nodes.n = \"10.0.0.1:1\"\n",
        );
        let mut after = before.clone();
        (after.workers, after.admin_bind) = (before.workers + 1, None);
        after.admin_socket = Some("/elsewhere".into());
        after.admin_hosts = vec!["gate.example.org".into()];
        after.log = LogSettings { format: LogFormat::Json, level: tracing::Level::DEBUG, ..before.log };
        after.max_connections = before.max_connections + 1;
        let now = in_force(&before, &after);
        assert_eq!(
            waiting(&now, &after),
            ["workers", "admin.bind", "admin.socket", "admin.hosts", "log.format"]
        );
        assert_eq!((now.log.level, now.max_connections), (after.log.level, after.max_connections));
        assert_eq!(waiting(&now, &before), [""; 0], "what is back as it was waits for nothing");
    }
}
