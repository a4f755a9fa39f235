//! One authority a scene, and one certificate a node, so that a client can tell which node it reached
//! and that nobody ended TLS in between.

use std::sync::Arc;
use std::time::Duration;

use raftgate::board::wall_clock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, GeneralSubtree, IsCa, KeyPair, NameConstraints,
    SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The name that clients use; every node's certificate covers it, as behind a real gate.
pub(crate) const PUBLIC_NAME: &str = "gate.test";

/// Signs the nodes' certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A node's certificate and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The certificate, as it is sent.
    pub(crate) certificate: CertificateDer<'static>,
    /// The same in PEM.
    pub(crate) certificate_pem: String,
    /// Its key in PEM.
    pub(crate) key_pem: String,
}

impl Authority {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        Authority(CertifiedIssuer::self_signed(Self::params(), KeyPair::generate().unwrap()).unwrap())
    }

    /// The same authority, name and key, but allowed to issue for this name and those below it alone.
    pub(crate) fn reissued_for(&self, name: &str) -> Self {
        let mut params = Self::params();
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let key = KeyPair::from_pem(&self.0.key().serialize_pem()).unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "black-box test authority");
        params
    }

    /// A node's certificate: the public name, a name of its own, the loopback address and a SPIFFE id.
    pub(crate) fn issue(&self, node: &str) -> Identity {
        self.issue_for(node, &[PUBLIC_NAME, &own_name(node), "127.0.0.1"], None)
    }

    /// A node's certificate for these names and a SPIFFE id; the day after `until` (year, month, day) it is expired.
    pub(crate) fn issue_for(&self, node: &str, names: &[&str], until: Option<(i32, u8, u8)>) -> Identity {
        self.issue_but(node, names, |params| {
            if let Some((year, month, day)) = until {
                params.not_after = date_time_ymd(year, month, day);
            }
        })
    }

    /// What [`issue`](Self::issue) issues, for so long from now on; whole seconds count.
    pub(crate) fn issue_shortly(&self, node: &str, lifetime: Duration) -> Identity {
        let until = Duration::from_secs_f64(wall_clock().floor()) + lifetime;
        self.issue_but(node, &[PUBLIC_NAME, &own_name(node), "127.0.0.1"], |params| {
            params.not_after = date_time_ymd(1970, 1, 1) + until;
        })
    }

    fn issue_but(&self, node: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        params.distinguished_name.push(rcgen::DnType::CommonName, node);
        let spiffe_id = format!("spiffe://gate.test/controller/{node}");
        params.subject_alt_names.push(SanType::URI(spiffe_id.try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// The authority's own certificate in PEM: what a gate's `ca_file` holds.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// What a client needs that trusts this authority and nobody else.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        client_config(self.0.der().clone())
    }
}

/// What a client needs that trusts this root and nobody else.
pub(crate) fn client_config(root: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// The name that only this node's certificate covers.
pub(crate) fn own_name(node: &str) -> String {
    format!("{node}.nodes.test")
}
