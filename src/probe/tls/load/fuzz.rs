//! What the readers of PEM files hold for any bytes.

use std::path::{Path, PathBuf};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{TlsSetupError, certificates_in, identity, key_in, roots_in};
use crate::probe::settings::ClientFiles;
use crate::probe::tls::signature::public_key;

/// A CA file, a client's certificates and its key, all in one: each reader takes out what there is for it, as whoever
/// writes it down again would have it; and what is refused is said in a line that repeats nothing of a key.
pub fn pem(bytes: &[u8]) {
    let path = Path::new("/etc/raftgate/it.pem");
    let certificates = certificates_in(bytes, path);
    match roots_in(bytes, path) {
        Ok(roots) => {
            let certificates = certificates.as_ref().expect("roots are certificates");
            assert!((1..=certificates.len()).contains(&roots.len()), "{} roots", roots.len());
        }
        Err(error) => judge_refusal(&error, bytes, certificates.is_ok(), "none of the certificates"),
    }
    let key = key_in(bytes, path);
    match &key {
        Ok(key) => {
            let again = key_in(&written(key_label(key), key.secret_der()), path).expect("the same key");
            assert_eq!((again.secret_der(), key_label(&again)), (key.secret_der(), key_label(key)));
        }
        Err(error) => judge_refusal(error, bytes, false, ""),
    }
    let certificates = match certificates {
        Ok(certificates) => certificates,
        Err(error) => return judge_refusal(&error, bytes, false, ""),
    };
    assert_eq!(certificates_in(&rewritten(&certificates), path).expect("the same"), certificates);
    let twice = certificates_in(&[bytes, b"\n", bytes].concat(), path).expect("one file behind the other");
    assert_eq!(twice, [&certificates[..], &certificates].concat());
    let Ok(key) = key else { return };
    let files = ClientFiles { certificate: path.to_owned(), key: PathBuf::from("/etc/raftgate/key.pem") };
    match identity(certificates.clone(), key, &files, &default_provider()) {
        Ok(identity) => {
            assert_eq!(identity.cert, certificates);
            let named = identity.cert.first().and_then(public_key).expect("a certificate");
            let own = identity.key.public_key();
            assert!(
                own.is_none_or(|own| own.as_ref() == named.as_ref()),
                "the certificate is for another key"
            );
        }
        Err(error) => judge_refusal(&error, bytes, false, ""),
    }
}

/// It is one line that names a file, and has no line of it; of certificates that can be read, only `otherwise` may be
/// said.
fn judge_refusal(error: &TlsSetupError, bytes: &[u8], are_certificates: bool, otherwise: &str) {
    let said = error.to_string();
    assert!(said.contains("/etc/raftgate/") && !said.contains(char::is_control), "{said:?}");
    assert!(!are_certificates || said.starts_with(otherwise), "{said}, but the certificates can be read");
    let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.starts_with(b"-----"));
    // What is shorter might be a word of the refusal itself.
    for line in lines.filter(|line| line.len() >= 32) {
        let line = String::from_utf8_lossy(line);
        assert!(!said.contains(&*line), "{said} tells {line}");
    }
}

/// The certificates, written down as everybody does it.
fn rewritten(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    certificates.iter().flat_map(|der| written("CERTIFICATE", der)).collect()
}

fn key_label(key: &PrivateKeyDer<'_>) -> &'static str {
    match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    }
}

/// One section of a PEM file (RFC 7468).
fn written(label: &str, der: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pem = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let of = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
            let bits = of(0) << 16 | of(1) << 8 | of(2);
            for digit in 0..4 {
                let place = bits >> (18 - 6 * digit) & 63;
                pem.push(if digit > three.len() { b'=' } else { DIGITS[place as usize] });
            }
        }
        pem.push(b'\n');
    }
    pem.extend(format!("-----END {label}-----\n").into_bytes());
    pem
}
