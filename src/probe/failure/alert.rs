//! Why a TLS handshake failed that was not ended by a certificate of the node's, in words that say what to do.

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

/// `has_shown_itself`: whether the node had presented its certificate before.
pub(super) fn words(error: &Error, has_shown_itself: bool) -> String {
    match error {
        Error::AlertReceived(alert) => alert_words(*alert, has_shown_itself),
        Error::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        ) => {
            "what the node presents in the TLS handshake is larger than 64 KiB; shorten its chain of certificates"
                .to_owned()
        }
        Error::InvalidMessage(_) => {
            "what the node sent is not TLS; check the port, and probe.tls.enabled".to_owned()
        }
        Error::PeerIncompatible(why) => format!("the TLS handshake failed: {}", incompatible(why)),
        Error::PeerMisbehaved(PeerMisbehaved::SignedKxWithWrongAlgorithm) => {
            "the TLS handshake failed: the node's key is of a kind that raftgate verifies over TLS 1.3 alone (RSA marked for \
             PSS); enable TLS 1.3 there, or give the node a plain RSA or an ECDSA key"
                .to_owned()
        }
        Error::PeerMisbehaved(_) => {
            "the TLS handshake failed: the node broke the rules of TLS (RFC 5246, RFC 8446); is another program on this \
             port, or something between that changes what is sent?"
                .to_owned()
        }
        Error::DecryptError => {
            "the TLS handshake failed: what the node sent cannot be decrypted; does something between change what is sent?"
                .to_owned()
        }
        Error::PeerSentOversizedRecord => {
            "the TLS handshake failed: the node sent a record longer than TLS allows; check the port".to_owned()
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the TLS handshake failed: the node sent a message of TLS out of its turn; check the port".to_owned()
        }
        Error::EncryptError
        | Error::FailedToGetRandomBytes
        | Error::FailedToGetCurrentTime
        | Error::HandshakeNotComplete => {
            "the TLS handshake failed: the cause is on this host, in raftgate's TLS, not at the node".to_owned()
        }
        _ => "the TLS handshake failed: the node's answer is not what TLS 1.2 or 1.3 expects; try \
              `openssl s_client -connect` from this host"
            .to_owned(),
    }
}

fn incompatible(why: &PeerIncompatible) -> &'static str {
    match why {
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "the node accepts no signature that raftgate's client key can make; give probe.tls.client_key_file a key of \
             another kind (RSA of 2048 bits, or ECDSA P-256)"
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the node offers neither TLS 1.2 nor TLS 1.3; enable one of them there"
        }
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "the node does not support extended master secrets (RFC 7627); update its TLS library, or enable TLS 1.3 there"
        }
        _ => {
            "the node and raftgate have no cipher, group or kind of key in common; enable TLS 1.3 there, or TLS 1.2 with \
             ECDHE and AES-GCM"
        }
    }
}

fn alert_words(alert: AlertDescription, has_shown_itself: bool) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => {
            "the node requires a client certificate; set probe.tls.client_cert_file and client_key_file".to_owned()
        }
        // TLS 1.2 has no alert of its own for that.
        A::HandshakeFailure if has_shown_itself => {
            "the node refused the TLS handshake after it had shown its own certificate (handshake_failure): over TLS 1.2 that \
             means that it requires a client certificate, or does not accept the key of the one it was shown; set \
             probe.tls.client_cert_file and client_key_file"
                .to_owned()
        }
        A::HandshakeFailure => {
            "the node refused the TLS handshake (handshake_failure): it has no cipher, group or kind of key in common with \
             raftgate, which takes TLS 1.2 with ECDHE and AES-GCM, TLS 1.3, and RSA, ECDSA and Ed25519 keys; does the node \
             have a key of another kind (Ed448, DSA)?"
                .to_owned()
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied => format!(
            "the node does not accept raftgate's client certificate, or wants one ({}); \
             check probe.tls.client_cert_file",
            name(alert)
        ),
        A::NoApplicationProtocol => "the node does not offer http/1.1 (ALPN) on this port".to_owned(),
        A::UnrecognisedName => {
            "the node does not know the name it was asked for; check the node's server_name".to_owned()
        }
        A::ProtocolVersion => {
            "the node refused the TLS handshake (protocol_version): it offers neither TLS 1.2 nor TLS 1.3; enable one of \
             them there"
                .to_owned()
        }
        A::InsufficientSecurity => {
            "the node refused the TLS handshake (insufficient_security): it demands ciphers that raftgate does not have; \
             enable TLS 1.3 there, or TLS 1.2 with ECDHE and AES-GCM"
                .to_owned()
        }
        A::InternalError => {
            "the node ended the TLS handshake because of an error of its own (internal_error); look at its log".to_owned()
        }
        other => format!("the node refused the TLS handshake ({}); look at its log", name(other)),
    }
}

/// An alert's name in the words of RFC 8446, section 6; of an unknown one, its number.
fn name(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    let known = match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return format!("alert {number}"),
    };
    known.to_owned()
}
