//! Looks at the files that a configuration names, so that a missing one shows before anything starts (O1).

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject as _};

use crate::config::findings::At;
use crate::config::model::{Cluster, Config};
use crate::probe::tls::{ClientPart, TlsSetupError, check_client_files};
use crate::probe::{ClientFiles, Roots};

/// Reports every file that cannot be used.
pub(super) fn look_at(config: &Config, at: &At<'_>) -> Option<()> {
    let usable = config.clusters.iter().map(|cluster| {
        let at = at.key("clusters").key(&cluster.name).key("probe").key("tls");
        let roots = roots_file(cluster).map_or(Some(()), |file| certificates(file, &at.key("ca_file")));
        let client = cluster.probe.tls.as_ref().and_then(|tls| tls.client.as_ref());
        let client = client.map_or(Some(()), |files| client_files(files, &at));
        roots.and(client)
    });
    crate::config::findings::all(usable).map(|_| ())
}

fn roots_file(cluster: &Cluster) -> Option<&Path> {
    let tls = cluster.probe.tls.as_ref()?;
    match &tls.roots {
        Roots::System => None,
        Roots::File(file) => Some(file),
    }
}

fn client_files(files: &ClientFiles, at: &At<'_>) -> Option<()> {
    let Err(error) = check_client_files(files) else { return Some(()) };
    let key = match error {
        TlsSetupError::ClientUnreadable { what: ClientPart::Key, .. }
        | TlsSetupError::ClientUnusable { what: ClientPart::Key, .. } => "client_key_file",
        _ => "client_cert_file",
    };
    at.key(key).reject(error.to_string())
}

fn certificates(file: &Path, at: &At<'_>) -> Option<()> {
    let shown = file.display();
    let first = CertificateDer::pem_file_iter(file).map(|mut certificates| certificates.next());
    match first {
        Ok(Some(Ok(_))) => Some(()),
        Ok(None) => {
            at.reject(format!("{shown} has no certificate; it should be a PEM file with root certificates"))
        }
        Err(Error::Io(error)) | Ok(Some(Err(Error::Io(error)))) => {
            at.reject(format!("{shown} cannot be read: {error}"))
        }
        Err(error) | Ok(Some(Err(error))) => at.reject(format!("{shown} is not a PEM file: {error}")),
    }
}
