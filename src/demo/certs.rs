//! The demo's certificates: one root, one leaf a node, one verifying client.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name by which clients know the gate: every node's certificate carries it, so that whichever leads can answer.
pub(super) const PUBLIC_NAME: &str = "gate.demo.raftgate";

const ALPN: &[u8] = b"http/1.1";

/// What can go wrong with them.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// A key or a certificate could not be made.
    #[error("cannot make the demo's certificates: {0}")]
    Make(#[from] rcgen::Error),
    /// TLS does not take them.
    #[error("cannot use the demo's certificates: {0}")]
    Use(#[from] rustls::Error),
}

/// The root that the nodes' certificates hang from.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A fresh one; its key never leaves this process's memory.
    pub(super) fn generate() -> Result<Self, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Raftgate demo root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// The root certificate, to be trusted by the gate's probes.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// What `node` serves TLS with: its own key and a leaf with the names of an OpenZiti controller's.
    pub(super) fn server_config(&self, node: &str) -> Result<Arc<ServerConfig>, CertificateError> {
        let mut params = CertificateParams::new(vec![
            format!("{node}.demo.raftgate"),
            PUBLIC_NAME.to_owned(),
            "localhost".to_owned(),
        ])?;
        params.distinguished_name.push(DnType::CommonName, node);
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let identity = Ia5String::try_from(format!("spiffe://raftgate-demo/controller/{node}"))?;
        params.subject_alt_names.push(SanType::URI(identity));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.0)?;

        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::from(key))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    /// What a client verifies nodes with: chain and name, anew on every connection.
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, CertificateError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
