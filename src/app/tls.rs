//! The TLS that the probes of one cluster share.

use crate::probe;
use crate::probe::tls::{Connector, TlsSetupError};

/// One connector for all nodes, if they speak TLS: they differ only in what it is told each time.
///
/// # Errors
/// If a file that the configuration names cannot be used.
pub(super) fn connector(probes: &[probe::Settings]) -> Result<Option<Connector>, TlsSetupError> {
    probes.iter().find_map(|settings| settings.tls.as_ref()).map(Connector::new).transpose()
}
