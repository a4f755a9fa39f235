//! A pin: the SHA-256 of a public key (the certificate's `SubjectPublicKeyInfo`), which outlives renewals of the
//! certificate that keep the key.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use rustls::pki_types::CertificateDer;

use super::signature::public_key;

/// What base64 pins begin with, as tools and browsers write them.
const PREFIX: &str = "sha256/";

/// The SHA-256 of a public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

/// A text that is no pin; completes "found ..., ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the SHA-256 of a public key: 64 hex digits, or \"sha256/\" and 44 letters of base64")]
pub struct PinError;

impl Pin {
    /// The pin of a certificate's key; `None` if it is no certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let key = public_key(certificate)?;
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, key.as_ref()).as_ref());
        Some(Pin(pin))
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let octets = match text.strip_prefix(PREFIX) {
            Some(base64) => BASE64.decode(base64.as_bytes()),
            // openssl parts the octets with colons.
            None => HEXLOWER_PERMISSIVE.decode(text.replace(':', "").as_bytes()),
        };
        octets.ok().and_then(|octets| octets.try_into().ok()).map(Pin).ok_or(PinError)
    }
}

/// As it can be pasted into a configuration.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_hex_or_base64_and_shown_as_base64() {
        let base64 = "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let colons = hex.as_bytes().chunks(2).map(|octet| String::from_utf8_lossy(octet).to_uppercase());
        let colons = colons.collect::<Vec<_>>().join(":");
        for text in [base64, hex, &hex.to_uppercase(), &colons] {
            assert_eq!(text.parse::<Pin>().unwrap().to_string(), base64, "{text}");
        }
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        let hex = "00".repeat(32);
        let short = "00".repeat(31);
        for text in ["", "sha256/", "sha256/AAEC", &short, &format!("{hex}00"), &format!("sha256/{hex}"), "x"]
        {
            assert_eq!(text.parse::<Pin>(), Err(PinError), "{text}");
        }
    }
}
