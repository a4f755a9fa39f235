//! What the reader of certificates holds for any bytes.

use rustls::pki_types::{CertificateDer, ServerName};

use super::leaf::Leaf;
use super::pin::Pin;
use super::spiffe::{SpiffeId, check};

pub use super::load::fuzz::pem;

/// A certificate: what it covers by the verifier's parser is among the names that ours shows, and an id that is
/// accepted is the only URI.
pub fn certificate(bytes: &[u8]) {
    let der = CertificateDer::from(bytes);
    let pin = Pin::of(&der);
    let Some(leaf) = Leaf::parse(&der) else { return };
    assert!(pin.is_some(), "a certificate that can be shown has a key that can be pinned");
    let shown = leaf.host_names();
    for name in shown.iter().copied().chain(["example.org", "n1.example.org", "127.0.0.1", "::1"]) {
        let Ok(wanted) = ServerName::try_from(name) else { continue };
        if leaf.covers(&wanted) {
            let text = wanted.to_str();
            // Alternative names of which one is malformed are not shown; a verifier stops at the one that it looks for.
            assert!(
                shown.is_empty() || shown.iter().any(|shown| is_for(shown, &text)),
                "{name} is none of {shown:?}"
            );
        }
    }
    for uri in &leaf.uris {
        let id = uri.parse::<SpiffeId>();
        assert!(!shown.contains(&uri.as_str()), "{uri} is no host");
        let Ok(id) = id else { continue };
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert_eq!(check(&leaf.uris, Some(id.domain()), Some(&id)).is_ok(), leaf.uris.len() == 1);
    }
}

/// Whether a name, or a pattern for one label, is this one.
fn is_for(shown: &str, name: &str) -> bool {
    let same =
        |one: &str, other: &str| one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'));
    let below = |parent| name.split_once('.').is_some_and(|(_, of)| same(parent, of));
    same(shown, name) || shown.strip_prefix("*.").is_some_and(below)
}
