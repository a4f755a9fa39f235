//! Checks how nodes prove who they are, and which of these keys contradict each other.

use std::str::FromStr;

use crate::config::findings::{At, all};
use crate::config::model::{Node, Tls};
use crate::config::raw::{self, OneOrMany};
use crate::config::words::{VERIFY, meaning, word};
use crate::probe::tls::{Pin, SpiffeId, TrustDomain};
use crate::probe::{ClientFiles, Roots, Verify};

/// Without TLS, `Some(None)`. `by_default` says whether the preset asks with TLS.
#[expect(clippy::option_option, reason = "whether it was right, and whether it is on")]
pub(super) fn check(raw: &raw::Tls, by_default: bool, at: &At<'_>) -> Option<Option<Tls>> {
    let verify = at.key("verify").one_of(raw.verify.as_deref(), VERIFY, Verify::Full);
    let roots = raw.ca_file.as_deref().map_or(Some(Roots::System), |file| {
        pem_file(file, "for the system's roots", &at.key("ca_file")).map(|file| Roots::File(file.into()))
    });
    let pins = pins(raw.pins.as_ref(), &at.key("pins"));
    let trust_domain = given(raw.spiffe_trust_domain.as_deref(), &at.key("spiffe_trust_domain"));
    let client = client(raw, at);
    let (verify, roots, pins) = (verify?, roots?, pins?);
    let (spiffe_trust_domain, client) = (trust_domain?, client?);
    match raw.enabled {
        None if !by_default => return means_no_tls(raw, at).map(|()| None),
        Some(false) => {
            warn_that_nothing_is_verified(raw, at);
            return Some(None);
        }
        None | Some(true) => {}
    }
    fits_mode(raw, verify, at)?;
    warn_of_mode(raw, verify, at);
    Some(Some(Tls { verify, roots, pins, spiffe_trust_domain, client }))
}

/// The id that a node's certificate has to bear; `tls` is its cluster's.
#[expect(clippy::option_option, reason = "whether it was right, and whether it was given")]
pub(super) fn spiffe_id(
    text: Option<&str>,
    tls: &raw::Tls,
    by_default: bool,
    at: &At<'_>,
) -> Option<Option<SpiffeId>> {
    let Some(id) = given::<SpiffeId>(text, at)? else { return Some(None) };
    if tls.enabled.is_none() && !by_default {
        return at.reject(NEEDS_TLS);
    }
    if tls.enabled == Some(false) {
        at.warn("has no effect, because `probe.tls.enabled` is false");
        return Some(None);
    }
    // What is wrong with these two is said where they stand.
    let verify = tls.verify.as_deref().map_or(Some(Verify::Full), |verify| meaning(VERIFY, verify));
    needs_chain(verify?, "probe.tls.verify", at)?;
    let domain = tls.spiffe_trust_domain.as_deref().and_then(|domain| domain.parse::<TrustDomain>().ok());
    match domain {
        Some(domain) if domain != *id.domain() => at.reject(format!(
            "{id} is not of the trust domain {domain}, which `probe.tls.spiffe_trust_domain` demands; \
             no certificate could be both"
        )),
        _ => Some(Some(id)),
    }
}

/// Says what a chain without a name leaves open: a certificate of any node's or client's will do, unless its SPIFFE id
/// is verified.
pub(super) fn check_ids(tls: &Tls, nodes: &[Node], at: &At<'_>) -> Option<()> {
    if tls.verify != Verify::Chain || nodes.iter().all(|node| node.spiffe_id.is_some()) {
        return Some(());
    }
    let at = at.key("verify");
    match (&tls.roots, &tls.spiffe_trust_domain) {
        (Roots::System, None) => {
            return at.reject(
                "is \"chain\", but without `ca_file` and without the nodes' `spiffe_id`: everybody who has a certificate \
                 of a public authority, for any name, could claim leadership; use \"full\" with the nodes' `server_name`, \
                 or name a private authority's `ca_file`",
            );
        }
        (Roots::File(_), None) => at.warn(
            "with \"chain\" alone, everybody who has a certificate of an authority in `ca_file`, for any name, can claim \
             leadership; give each node its `spiffe_id`, or use \"full\" with its `server_name`",
        ),
        (_, Some(domain)) => at.warn(format!(
            "with \"chain\" and no more than a trust domain, everybody who has a certificate of {domain} can claim \
             leadership, routers and clients included; give each node its `spiffe_id`, or use \"full\" with its \
             `server_name`"
        )),
    }
    Some(())
}

/// A value that says itself what it has to look like.
#[expect(clippy::option_option, reason = "whether it was right, and whether it was given")]
fn given<T: FromStr<Err: std::fmt::Display>>(text: Option<&str>, at: &At<'_>) -> Option<Option<T>> {
    let Some(text) = text else { return Some(None) };
    text.parse().map_or_else(|error| at.reject(format!("found {text:?}, {error}")), |value| Some(Some(value)))
}

fn pins(raw: Option<&OneOrMany<String>>, at: &At<'_>) -> Option<Vec<Pin>> {
    let items = raw.map_or_else(Vec::new, |pins| pins.items(at));
    all(items.into_iter().map(|(at, text)| given(Some(text), &at).flatten()))
}

fn pem_file<'f>(file: &'f str, without: &str, at: &At<'_>) -> Option<&'f str> {
    if file.is_empty() {
        return at.reject(format!("is empty; name a PEM file, or leave it out {without}"));
    }
    Some(file)
}

/// Both files or neither.
#[expect(clippy::option_option, reason = "whether it was right, and whether it was given")]
fn client(raw: &raw::Tls, at: &At<'_>) -> Option<Option<ClientFiles>> {
    const CERTIFICATE: &str = "client_cert_file";
    const KEY: &str = "client_key_file";
    let lacks = |key, other| at.key(key).reject(format!("is no use without `{other}`; give both or neither"));
    let (certificate, key) = match (&raw.client_cert_file, &raw.client_key_file) {
        (None, None) => return Some(None),
        (Some(_), None) => return lacks(CERTIFICATE, KEY),
        (None, Some(_)) => return lacks(KEY, CERTIFICATE),
        (Some(certificate), Some(key)) => (certificate, key),
    };
    let certificate = pem_file(certificate, "for no client certificate", &at.key(CERTIFICATE));
    let key = pem_file(key, "for no client certificate", &at.key(KEY));
    Some(Some(ClientFiles { certificate: certificate?.into(), key: key?.into() }))
}

/// Refuses what only seems to be verified: whoever writes it down relies on it.
fn fits_mode(raw: &raw::Tls, verify: Verify, at: &At<'_>) -> Option<()> {
    let has_pins = raw.pins.as_ref().is_some_and(|pins| !pins.items(at).is_empty());
    let pins = match (verify, has_pins) {
        (Verify::Pin, false) => at.key("verify").reject(
            "is \"pin\", but there are no `pins`; give that of each node's key (to learn it, give any: \
             `raftgate check --probe` shows the one seen)",
        ),
        (Verify::Full | Verify::Chain | Verify::None, true) => at.key("pins").reject(format!(
            "is looked at with verify = \"pin\" alone, but `verify` is {:?}; change it, or leave out the pins",
            word(VERIFY, &verify)
        )),
        _ => Some(()),
    };
    let spiffe = match &raw.spiffe_trust_domain {
        Some(_) => needs_chain(verify, "verify", &at.key("spiffe_trust_domain")),
        None => Some(()),
    };
    pins.and(spiffe)
}

fn needs_chain(verify: Verify, key: &str, at: &At<'_>) -> Option<()> {
    match verify {
        Verify::Full | Verify::Chain => Some(()),
        Verify::Pin | Verify::None => at.reject(format!(
            "is vouched for by a chain alone, but `{key}` is {:?}; use \"full\" or \"chain\", or leave this out",
            word(VERIFY, &verify)
        )),
    }
}

fn warn_of_mode(raw: &raw::Tls, verify: Verify, at: &At<'_>) {
    if verify == Verify::None {
        at.key("verify").warn(
            "with \"none\", anybody on the path to a node can claim leadership; use \"full\" or \"chain\"",
        );
    }
    if matches!(verify, Verify::None | Verify::Pin) && raw.ca_file.is_some() {
        at.key("ca_file").warn(format!("has no effect, because `verify` is {:?}", word(VERIFY, &verify)));
    }
}

/// What is said of a key that means TLS where the preset asks without: ignoring it would be a trap.
const NEEDS_TLS: &str =
    "would have no effect, because the preset asks without TLS; set `probe.tls.enabled = true` beside it";

fn means_no_tls(raw: &raw::Tls, at: &At<'_>) -> Option<()> {
    match keys_given(raw).next() {
        Some(key) => at.key(key).reject(NEEDS_TLS),
        None => Some(()),
    }
}

fn warn_that_nothing_is_verified(raw: &raw::Tls, at: &At<'_>) {
    for key in keys_given(raw) {
        at.key(key).warn("has no effect, because `enabled` is false");
    }
    at.key("enabled").warn("without TLS, anybody on the path to a node can claim leadership");
}

/// The keys that only mean something with TLS.
fn keys_given(raw: &raw::Tls) -> impl Iterator<Item = &'static str> {
    let keys = [
        ("verify", raw.verify.is_some()),
        ("ca_file", raw.ca_file.is_some()),
        ("pins", raw.pins.is_some()),
        ("spiffe_trust_domain", raw.spiffe_trust_domain.is_some()),
        ("client_cert_file", raw.client_cert_file.is_some()),
    ];
    keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
}
