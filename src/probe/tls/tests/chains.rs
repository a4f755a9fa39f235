//! Chains of every kind: what each of them says in the modes that verify chains, and that the other modes take the key.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, NameConstraints, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512,
    PKCS_ED25519, PublicKeyData, SanType, SigningKey, date_time_ymd,
};
use rustls::version::{TLS12, TLS13};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

/// What a mode says: words of its refusal, none if it accepts.
type Says = &'static [&'static str];

const FINE: Says = &[];
const NAME: Says = &["is for n2, not for n1"];
const EXPIRED: Says = &["the node's certificate expired at 2001-02-03T00:00:00Z"];
const NO_NAMES: Says =
    &["has no subject alternative names", "common name does not count", "subjectAltName=DNS:n1"];
const SELF_SIGNED: Says = &["self-signed, and is none of the trusted ones", "probe.tls.ca_file", PIN];
const ISSUER: Says = &["was issued by", "which is not trusted"];
const PURPOSE: Says = &["not for servers", "serverAuth"];
const PIN: &str = "probe.tls.verify = \"pin\"";

/// An object identifier, as rcgen takes it.
const CERTIFICATE_POLICIES: &[u64] = &[2, 5, 29, 32];
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const POLICY_CONSTRAINTS: &[u64] = &[2, 5, 29, 36];
const INHIBIT_ANY_POLICY: &[u64] = &[2, 5, 29, 54];
const UNKNOWN: &[u64] = &[1, 2, 3, 4];

/// An authority, and its certificate.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Ca {
    fn root(name: &str) -> Self {
        Self::root_with(authority(name))
    }

    fn root_with(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().into();
        Ca { issuer: Issuer::new(params, key), certificate }
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().into();
        Ca { issuer: Issuer::new(params, key), certificate }
    }

    fn node(&self, params: &CertificateParams, above: &[&Ca]) -> Identity {
        self.node_with(params, &KeyPair::generate().unwrap(), above)
    }

    fn node_with(&self, params: &CertificateParams, key: &KeyPair, above: &[&Ca]) -> Identity {
        Identity {
            certificate: params.signed_by(key, &self.issuer).unwrap().into(),
            above: above.iter().map(|ca| ca.certificate.clone()).collect(),
            key: key.serialize_der(),
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = common_name(name);
    params
}

fn with(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

fn extended(params: CertificateParams, oid: &[u64], is_critical: bool, content: &[u8]) -> CertificateParams {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(is_critical);
    with(params, |params| params.custom_extensions.push(extension))
}

fn constrained(params: CertificateParams, permitted: GeneralSubtree) -> CertificateParams {
    let constraints = NameConstraints { permitted_subtrees: vec![permitted], excluded_subtrees: Vec::new() };
    with(params, |params| params.name_constraints = Some(constraints))
}

/// An authority that may issue for URIs of one host alone.
fn constrained_to_uris(params: CertificateParams) -> CertificateParams {
    let subtree = element(0x30, &[&element(0x86, &[b"d.org"])]);
    extended(params, NAME_CONSTRAINTS, true, &element(0x30, &[&element(0xa0, &[&subtree])]))
}

/// A certificate that is its own authority.
fn alone(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().into();
    Identity { certificate, above: Vec::new(), key: key.serialize_der() }
}

/// One element of DER.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match content.len() {
        ..128 => vec![low],
        128..256 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &length[..], &content].concat()
}

/// A certificate of X.509 version 1, which has no extensions, and so no alternative names.
fn version_1(name: &str, issuer: Option<&Ca>) -> Identity {
    let key = KeyPair::generate().unwrap();
    let model = named(name).self_signed(&key).unwrap();
    let (_, model) = X509Certificate::from_der(model.der()).unwrap();
    let subject = model.subject().as_raw();
    let above = issuer.map(|ca| X509Certificate::from_der(&ca.certificate).unwrap().1);
    let above = above.as_ref().map_or(subject, |above| above.subject().as_raw());
    // ecdsa-with-SHA256
    let algorithm = element(0x30, &[&element(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
    let dates = [element(0x17, &[b"200101000000Z"]), element(0x17, &[b"490101000000Z"])];
    let dates = element(0x30, &[&dates[0], &dates[1]]);
    let serial = element(0x02, &[&[7]]);
    let content =
        element(0x30, &[&serial, &algorithm, above, &dates, subject, &key.subject_public_key_info()]);
    let signature = match issuer {
        Some(ca) => ca.issuer.key().sign(&content).unwrap(),
        None => key.sign(&content).unwrap(),
    };
    let certificate = element(0x30, &[&content, &algorithm, &element(0x03, &[&[0], &signature])]);
    Identity { certificate: certificate.into(), above: Vec::new(), key: key.serialize_der() }
}

/// What it is, who presents it, what is trusted, and what "full" and "chain" say.
type Row = (&'static str, Identity, CertificateDer<'static>, Says, Says);

fn rows() -> Vec<Row> {
    [usual(), marked_critical(), constraints(), trusted_by_themselves(), broken()].concat()
}

fn usual() -> Vec<Row> {
    let root = Ca::root("root");
    let between = root.below(authority("between"));
    let expired_root =
        Ca::root_with(with(authority("root"), |root| root.not_after = date_time_ymd(2001, 2, 3)));
    let trusted = || root.certificate.clone();
    let key = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    let n1 = named("n1");
    vec![
        ("below a root", root.node(&n1, &[]), trusted(), FINE, FINE),
        ("below an intermediate", between.node(&n1, &[&between]), trusted(), FINE, FINE),
        ("the root is sent along", root.node(&n1, &[&root]), trusted(), FINE, FINE),
        (
            "the intermediate alone is trusted",
            between.node(&n1, &[]),
            between.certificate.clone(),
            FINE,
            FINE,
        ),
        ("a key on P-384", root.node_with(&n1, &key(&PKCS_ECDSA_P384_SHA384), &[]), trusted(), FINE, FINE),
        ("a key on P-521", root.node_with(&n1, &key(&PKCS_ECDSA_P521_SHA512), &[]), trusted(), FINE, FINE),
        ("an Ed25519 key", root.node_with(&n1, &key(&PKCS_ED25519), &[]), trusted(), FINE, FINE),
        ("an expired root", expired_root.node(&n1, &[]), expired_root.certificate.clone(), FINE, FINE),
        ("another name", root.node(&named("n2"), &[]), trusted(), NAME, FINE),
        ("the name in another case", root.node(&named("N1"), &[]), trusted(), FINE, FINE),
        ("no alternative names", root.node(&no_names("n1"), &[]), trusted(), NO_NAMES, FINE),
    ]
}

fn no_names(name: &str) -> CertificateParams {
    with(CertificateParams::default(), |params| params.distinguished_name = common_name(name))
}

fn marked_critical() -> Vec<Row> {
    let root = Ca::root("root");
    let open_root = Ca::root_with(extended(authority("root"), UNKNOWN, true, &[5, 0]));
    let of_policy = |oid| root.below(extended(authority("between"), oid, true, &[0x30, 0]));
    let (policies, constraints) = (of_policy(CERTIFICATE_POLICIES), of_policy(POLICY_CONSTRAINTS));
    let any = of_policy(INHIBIT_ANY_POLICY);
    let trusted = || root.certificate.clone();
    let n1 = named("n1");
    let leaf = |oid, is_critical| root.node(&extended(named("n1"), oid, is_critical, &[0x30, 0]), &[]);
    let own: Says =
        &["the node's certificate has the extension certificatePolicies marked critical", "issue it", PIN];
    let unknown: Says = &["the node's certificate has the extension 1.2.3.4 marked critical", PIN];
    let above: Says =
        &["the authority's certificate \"between\" has the extension certificatePolicies marked"];
    let constrain: Says = &["\"between\" has the extension policyConstraints marked critical", PIN];
    let inhibit: Says = &["\"between\" has the extension inhibitAnyPolicy marked critical", PIN];
    vec![
        ("critical policies", leaf(CERTIFICATE_POLICIES, true), trusted(), own, own),
        ("policies", leaf(CERTIFICATE_POLICIES, false), trusted(), FINE, FINE),
        ("unknown and critical", leaf(UNKNOWN, true), trusted(), unknown, unknown),
        ("unknown", leaf(UNKNOWN, false), trusted(), FINE, FINE),
        (
            "unknown and critical on the root",
            open_root.node(&n1, &[]),
            open_root.certificate.clone(),
            FINE,
            FINE,
        ),
        ("policies above", policies.node(&n1, &[&policies]), trusted(), above, above),
        ("policy constraints above", constraints.node(&n1, &[&constraints]), trusted(), constrain, constrain),
        ("any policy inhibited above", any.node(&n1, &[&any]), trusted(), inhibit, inhibit),
    ]
}

fn constraints() -> Vec<Row> {
    let root = Ca::root("root");
    let dns =
        |name: &str| root.below(constrained(authority("between"), GeneralSubtree::DnsName(name.into())));
    let (right, wrong) = (dns("n1"), dns("example.org"));
    let directory = || GeneralSubtree::DirectoryName(common_name("n1"));
    let of_directory = root.below(constrained(authority("between"), directory()));
    let root_of_directory = Ca::root_with(constrained(authority("root"), directory()));
    let of_uris = root.below(constrained_to_uris(authority("between")));
    let trusted = || root.certificate.clone();
    let n1 = named("n1");
    let with_uri = with(named("n1"), |params| {
        params.subject_alt_names.push(SanType::URI("spiffe://d.org/n1".try_into().unwrap()));
    });
    let outside: Says = &["may not issue for its names (name constraints)", PIN];
    let kind: Says = &["name constraints of the kind directoryName, which raftgate does not process", PIN];
    let uri: Says = &["name constraints of the kind URI, which raftgate does not process", PIN];
    let root_kind = root_of_directory.node(&n1, &[]);
    vec![
        ("permitted names", right.node(&n1, &[&right]), trusted(), FINE, FINE),
        ("names that are not permitted", wrong.node(&n1, &[&wrong]), trusted(), outside, outside),
        ("directory names", of_directory.node(&n1, &[&of_directory]), trusted(), kind, kind),
        ("directory names of the root", root_kind, root_of_directory.certificate.clone(), kind, kind),
        ("URIs", of_uris.node(&with_uri, &[&of_uris]), trusted(), uri, uri),
        ("URIs, of which there are none", of_uris.node(&n1, &[&of_uris]), trusted(), FINE, FINE),
    ]
}

fn trusted_by_themselves() -> Vec<Row> {
    let as_authority =
        |params| with(params, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let expired = with(as_authority(named("n1")), |params| params.not_after = date_time_ymd(2001, 2, 3));
    let future = with(as_authority(named("n1")), |params| {
        params.not_before = date_time_ymd(2999, 2, 3);
        params.not_after = date_time_ymd(3000, 1, 1);
    });
    let for_clients =
        with(named("n1"), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let critical = extended(as_authority(no_names("n1")), UNKNOWN, true, &[5, 0]);
    let not_yet: Says = &["is not valid before 2999-02-03T00:00:00Z"];
    let themselves = [
        ("itself, as an authority", alone(&as_authority(named("n1"))), FINE, FINE),
        ("itself", alone(&named("n1")), FINE, FINE),
        ("itself, for another name", alone(&as_authority(named("n2"))), NAME, FINE),
        ("itself, without names", alone(&as_authority(no_names("n1"))), NO_NAMES, FINE),
        ("itself, without names, in its own words", alone(&critical), NO_NAMES, FINE),
        ("itself, of version 1", version_1("n1", None), NO_NAMES, FINE),
        ("itself, expired", alone(&expired), EXPIRED, EXPIRED),
        ("itself, not valid yet", alone(&future), not_yet, not_yet),
        ("itself, for clients", alone(&for_clients), PURPOSE, PURPOSE),
        ("itself, below an unknown root", Ca::root("root").node(&named("n1"), &[]), FINE, FINE),
    ];
    let rows = themselves.into_iter().map(|(what, node, full, chain)| {
        let trusted = node.certificate.clone();
        (what, node, trusted, full, chain)
    });
    let other = || Ca::root("root").certificate;
    rows.chain([
        (
            "self-signed, as an authority",
            alone(&as_authority(named("n1"))),
            other(),
            SELF_SIGNED,
            SELF_SIGNED,
        ),
        ("self-signed", alone(&named("n1")), other(), SELF_SIGNED, SELF_SIGNED),
    ])
    .collect()
}

fn broken() -> Vec<Row> {
    let root = Ca::root("root");
    let trusted = || root.certificate.clone();
    let n1 = named("n1");
    let between = root.below(authority("between"));
    let no_authority = root.below(with(authority("between"), |params| params.is_ca = IsCa::ExplicitNoCa));
    let last = root
        .below(with(authority("last"), |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))));
    let one_more = last.below(authority("one more"));
    let expired = root.below(with(authority("old"), |params| params.not_after = date_time_ymd(2001, 2, 3)));
    let as_authority = with(named("n1"), |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let for_clients =
        with(named("n1"), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let version: Says = &["the node's certificate is of X.509 version 1", "-extfile", PIN];
    let authority_as_node: Says = &["is an authority's (CA:TRUE)", "issue one", PIN];
    let no_ca: Says = &["the authority's certificate \"between\" issued", "not an authority", PIN];
    let too_long: Says = &["pathLenConstraint", PIN];
    let above: Says = &["a certificate above the node's own expired at 2001-02-03T00:00:00Z"];
    let key: Says = &["was not made with the key of the authority of that name", "probe.tls.ca_file", PIN];
    let long = one_more.node(&n1, &[&one_more, &last]);
    vec![
        ("of version 1", version_1("n1", Some(&root)), trusted(), version, version),
        ("an authority", root.node(&as_authority, &[]), trusted(), authority_as_node, authority_as_node),
        ("above is no authority", no_authority.node(&n1, &[&no_authority]), trusted(), no_ca, no_ca),
        ("more authorities than allowed", long, trusted(), too_long, too_long),
        ("for clients", root.node(&for_clients, &[]), trusted(), PURPOSE, PURPOSE),
        ("an expired intermediate", expired.node(&n1, &[&expired]), trusted(), above, above),
        ("no intermediate is sent", between.node(&n1, &[]), trusted(), ISSUER, ISSUER),
        ("an unknown root", Ca::root("other").node(&n1, &[]), trusted(), ISSUER, ISSUER),
        ("a root of that name with another key", Ca::root("root").node(&n1, &[]), trusted(), key, key),
    ]
}

#[tokio::test]
async fn l6_each_chain_has_its_verdict_in_each_mode() {
    let rows = rows();
    assert!(rows.len() > 40, "{} chains", rows.len());
    let file = tempfile::NamedTempFile::new().unwrap();
    for (what, node, trusted, full, chain) in rows {
        std::fs::write(file.path(), client::pem("CERTIFICATE", &trusted)).unwrap();
        let pin = Pin::of(&node.certificate).expect("a pin");
        for (verify, words) in
            [(Verify::Full, full), (Verify::Chain, chain), (Verify::Pin, FINE), (Verify::None, FINE)]
        {
            let roots = Roots::File(file.path().to_owned());
            let settings = TlsSettings { pins: vec![pin], ..TlsSettings::new(verify, roots, "n1") };
            for version in [&TLS12, &TLS13] {
                let cell = format!("{what}, by {verify:?} over {version:?}");
                match shake(&settings, node.clone().server_with(&[version], &[])).await {
                    Ok(_) => assert!(words.is_empty(), "accepted: {cell}"),
                    Err(failure) => {
                        let said = failure.detail;
                        assert_eq!(failure.kind, ProbeFailure::Certificate, "{cell}: {said}");
                        assert!(!words.is_empty(), "rejected: {cell}: {said}");
                        assert!(!said.contains("Error"), "{cell}: not in words: {said}");
                        for words in words {
                            assert!(said.contains(words), "{cell}: no {words} in: {said}");
                        }
                        assert!(
                            !said.contains("sha256/") || said.contains(&pin.to_string()),
                            "{cell}: {said}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn l6_an_unknown_key_is_shown_for_each_certificate() {
    let root = Ca::root("root");
    let critical = extended(named("n1"), UNKNOWN, true, &[5, 0]);
    for node in [version_1("n1", Some(&root)), root.node(&critical, &[])] {
        let pin = Pin::of(&node.certificate).expect("a pin");
        let settings = TlsSettings::new(Verify::Pin, Roots::System, "n1");
        let failure = shake(&settings, node.server()).await.unwrap_err();
        assert!(failure.detail.contains(&format!("add \"{pin}\"")), "{}", failure.detail);
    }
}

#[tokio::test]
async fn l6_a_stolen_certificate_proves_nothing_in_any_mode() {
    let root = Ca::root("root");
    let node = version_1("n1", Some(&root)).stolen_by(root.node(&named("n1"), &[]));
    let pins = vec![Pin::of(&node.certificate).expect("a pin")];
    for (verify, version) in
        [Verify::Pin, Verify::None].into_iter().flat_map(|verify| [(verify, &TLS12), (verify, &TLS13)])
    {
        let settings = TlsSettings { pins: pins.clone(), ..TlsSettings::new(verify, Roots::System, "n1") };
        let failure = shake(&settings, node.clone().server_with(&[version], &[])).await.unwrap_err();
        assert!(
            failure.detail.contains("does not prove that its certificate is its own"),
            "{}",
            failure.detail
        );
    }
}
