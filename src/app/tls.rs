//! The TLS that probes share.

use crate::config::Cluster;
use crate::probe::TlsSettings;
use crate::probe::tls::{Connector, TlsSetupError};

/// Connectors by what they were made from. Clusters with the same settings have the same one: trusted certificates are
/// read, and kept, once.
#[derive(Default)]
pub(super) struct Connectors(Vec<(TlsSettings, Connector)>);

impl Connectors {
    /// One connector for all nodes of a cluster, if they speak TLS: they differ only in what it is told each time.
    ///
    /// # Errors
    /// If a file that the configuration names cannot be used.
    pub(super) fn of(&mut self, cluster: &Cluster) -> Result<Option<Connector>, TlsSetupError> {
        cluster.nodes.first().and_then(|node| cluster.tls(node)).map(|tls| self.made_from(&tls)).transpose()
    }

    fn made_from(&mut self, settings: &TlsSettings) -> Result<Connector, TlsSetupError> {
        // What tells nodes apart is not in the connector.
        let settings = TlsSettings { server_name: String::new(), spiffe_id: None, ..settings.clone() };
        if let Some((_, connector)) = self.0.iter().find(|(known, _)| *known == settings) {
            return Ok(connector.clone());
        }
        let connector = Connector::new(&settings)?;
        self.0.push((settings, connector.clone()));
        Ok(connector)
    }
}

/// One cluster's connector.
///
/// # Errors
/// If a file that the configuration names cannot be used.
pub(super) fn connector(cluster: &Cluster) -> Result<Option<Connector>, TlsSetupError> {
    Connectors::default().of(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Roots, Verify};

    #[test]
    fn clusters_with_the_same_settings_share_what_is_made_from_them() {
        let authority = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, authority.cert.pem()).unwrap();
        let roots = Roots::File(file.path().to_owned());
        let settings = |verify, name| TlsSettings::new(verify, roots.clone(), name);
        let mut connectors = Connectors::default();
        connectors.made_from(&settings(Verify::Full, "n1")).unwrap();
        drop(file);
        connectors.made_from(&settings(Verify::Full, "n2")).unwrap();
        let other = connectors.made_from(&settings(Verify::Chain, "n2"));
        assert!(matches!(other, Err(TlsSetupError::Unreadable { .. })), "another one needs the file");
    }
}
