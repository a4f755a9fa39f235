//! Key exchange on P-521 (RFC 8422): offered last, for nodes and clients' keys on that curve. With TLS 1.2 a certificate's
//! curve has to be among the groups that are offered.

use aws_lc_rs::agreement::{self, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::rand::SystemRandom;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SharedSecret, SupportedKxGroup, aws_lc_rs as provided,
};
use rustls::{Error, NamedGroup, PeerMisbehaved};

/// What a point begins with that is written in full, the one form that TLS allows (RFC 8422, section 5.4.1).
const UNCOMPRESSED: u8 = 4;

/// All that rustls offers by itself, and P-521.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = provided::default_provider();
    provider.kx_groups.push(&Secp521r1);
    provider
}

#[derive(Debug)]
struct Secp521r1;

struct Exchange {
    private: EphemeralPrivateKey,
    public: agreement::PublicKey,
}

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let private =
            EphemeralPrivateKey::generate(&ECDH_P521, &SystemRandom::new()).map_err(|_| GetRandomFailed)?;
        let public = private.compute_public_key().map_err(|_| GetRandomFailed)?;
        Ok(Box::new(Exchange { private, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        if peer_pub_key.first() != Some(&UNCOMPRESSED) {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let peer = UnparsedPublicKey::new(&ECDH_P521, peer_pub_key);
        let refused = Error::from(PeerMisbehaved::InvalidKeyShare);
        agreement::agree_ephemeral(self.private, peer, refused, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
