//! SPIFFE: who a certificate's holder is, as a URI among its names. OpenZiti's controllers have one.

use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "spiffe://";

/// Who vouches for ids: what stands between `spiffe://` and the next slash. Case does not matter; kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

/// `spiffe://` trust domain `/` path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    domain: TrustDomain,
    /// With its leading slash.
    path: String,
}

/// A text that is neither; completes "found ..., ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// No trust domain.
    #[error("expected a trust domain such as \"example.org\": letters, digits, dots, dashes and underscores")]
    Domain,
    /// No id.
    #[error("expected an id such as \"spiffe://example.org/controller/ctrl1\"")]
    Id,
}

/// Why a certificate is not the expected holder's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::probe) enum SpiffeRejection {
    #[error(
        "the node's certificate has no SPIFFE id, but {wanted} is expected; is this a node of the cluster?"
    )]
    Missing { wanted: String },
    #[error("the node's certificate has {} URIs ({}), of which none counts: SPIFFE allows one", .uris.len(), .uris.join(", "))]
    Several { uris: Vec<String> },
    #[error("the node's certificate has the URI {found}, which is not a SPIFFE id; {wanted} is expected")]
    NoId { found: String, wanted: String },
    #[error(
        "the node's certificate is for {found}, whose trust domain is not {wanted}; \
         check probe.tls.spiffe_trust_domain, or whether this is another cluster's node"
    )]
    Domain { found: SpiffeId, wanted: TrustDomain },
    #[error(
        "the node's certificate is for {found}, not for {wanted}; check the node's spiffe_id, and its address"
    )]
    Id { found: SpiffeId, wanted: SpiffeId },
}

/// Whether the URIs of a certificate are what is expected: exactly one, in this trust domain, and this id.
pub(super) fn check(
    uris: &[String],
    domain: Option<&TrustDomain>,
    id: Option<&SpiffeId>,
) -> Result<(), SpiffeRejection> {
    let wanted = || match (id, domain) {
        (Some(id), _) => id.to_string(),
        (None, Some(domain)) => format!("one of the trust domain {domain}"),
        (None, None) => "one".to_owned(),
    };
    let found = match uris {
        [] => return Err(SpiffeRejection::Missing { wanted: wanted() }),
        [uri] => uri
            .parse::<SpiffeId>()
            .map_err(|_| SpiffeRejection::NoId { found: uri.clone(), wanted: wanted() })?,
        several => return Err(SpiffeRejection::Several { uris: several.to_vec() }),
    };
    match (domain, id) {
        (Some(domain), _) if found.domain != *domain => {
            Err(SpiffeRejection::Domain { found, wanted: domain.clone() })
        }
        (_, Some(id)) if found != *id => Err(SpiffeRejection::Id { found, wanted: id.clone() }),
        _ => Ok(()),
    }
}

impl SpiffeId {
    /// Its trust domain.
    pub fn domain(&self) -> &TrustDomain {
        &self.domain
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeError;

    /// With or without `spiffe://`.
    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        let name = text.strip_prefix(SCHEME).unwrap_or(text);
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.len() > 255 || !name.chars().all(allowed) {
            return Err(SpiffeError::Domain);
        }
        Ok(TrustDomain(name.to_ascii_lowercase()))
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeError::Id)?;
        let slash = rest.find('/').ok_or(SpiffeError::Id)?;
        let (domain, path) = rest.split_at(slash);
        let allowed = |letter: char| letter.is_ascii_graphic() && !"?#".contains(letter);
        if path.split('/').skip(1).any(str::is_empty) || !path.chars().all(allowed) {
            return Err(SpiffeError::Id);
        }
        let domain = domain.parse().map_err(|_| SpiffeError::Id)?;
        Ok(SpiffeId { domain, path: path.to_owned() })
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.domain, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uris: &[&str], domain: Option<&str>, id: Option<&str>) -> Result<(), String> {
        let uris: Vec<String> = uris.iter().map(|&uri| uri.to_owned()).collect();
        let domain = domain.map(|domain| domain.parse().unwrap());
        let id = id.map(|id| id.parse().unwrap());
        super::check(&uris, domain.as_ref(), id.as_ref()).map_err(|rejection| rejection.to_string())
    }

    #[test]
    fn l6_the_one_uri_has_to_be_the_expected_id() {
        const ID: &str = "spiffe://d.org/controller/n1";
        for (uris, domain, id) in [
            (&[ID][..], Some("d.org"), Some(ID)),
            (&[ID], Some("spiffe://D.ORG"), None),
            (&["spiffe://D.org/controller/n1"], None, Some(ID)),
        ] {
            assert_eq!(check(uris, domain, id), Ok(()));
        }
        for (uris, domain, id, words) in [
            (&[][..], Some("d.org"), None, "no SPIFFE id, but one of the trust domain d.org"),
            (&[], None, Some(ID), "no SPIFFE id, but spiffe://d.org/controller/n1"),
            (&[ID], Some("e.org"), None, "for spiffe://d.org/controller/n1, whose trust domain is not e.org"),
            (
                &["spiffe://d.org/controller/n2"],
                Some("d.org"),
                Some(ID),
                "/n2, not for spiffe://d.org/controller/n1",
            ),
            (&["spiffe://d.org/controller/N1"], None, Some(ID), "not for"),
            (&["spiffe://d.org/controller/n1/x"], None, Some(ID), "not for"),
            (&["https://d.org/"], Some("d.org"), None, "https://d.org/, which is not a SPIFFE id"),
            // Somebody who can add a URI of theirs must not become another by it.
            (&[ID, "spiffe://d.org/other"], Some("d.org"), Some(ID), "2 URIs"),
        ] {
            let error = check(uris, domain, id).unwrap_err();
            assert!(error.contains(words), "{words} in: {error}");
        }
    }

    #[test]
    fn what_is_no_id_or_domain_is_refused() {
        for text in [
            "",
            "d.org/x",
            "spiffe://d.org",
            "spiffe:///x",
            "spiffe://d/",
            "spiffe://d//x",
            "spiffe://d/x?y",
            "spiffe://d:1/x",
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(SpiffeError::Id), "{text}");
        }
        for text in ["", "spiffe://", "d/x", "d:1", "a b"] {
            assert_eq!(text.parse::<TrustDomain>(), Err(SpiffeError::Domain), "{text}");
        }
        assert_eq!("spiffe://D.org/A".parse::<SpiffeId>().unwrap().to_string(), "spiffe://d.org/A");
    }
}
