//! What TLS may negotiate: what rustls takes by default, but for ChaCha20 and certificates of our own.
//!
//! Every server of TLS 1.3 must have AES-GCM, and we show no upstream a certificate; both together are 100 KB of code
//! that the default brings along. The rest stands here word for word, and a test holds it to the default.

use std::sync::Arc;

use rustls::crypto::ring::{cipher_suite as suite, kx_group};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme};
use webpki::ring as check;

/// What rustls wants to be given as objects.
#[derive(Debug)]
struct Parts;

/// The algorithms of every connection.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Parts,
        key_provider: &Parts,
    })
}

static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        check::ECDSA_P256_SHA256,
        check::ECDSA_P256_SHA384,
        check::ECDSA_P384_SHA256,
        check::ECDSA_P384_SHA384,
        check::ED25519,
        check::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        check::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        check::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        check::RSA_PKCS1_2048_8192_SHA256,
        check::RSA_PKCS1_2048_8192_SHA384,
        check::RSA_PKCS1_2048_8192_SHA512,
        check::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        check::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        check::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[check::ECDSA_P384_SHA384, check::ECDSA_P256_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[check::ECDSA_P256_SHA256, check::ECDSA_P384_SHA256],
        ),
        (SignatureScheme::ED25519, &[check::ED25519]),
        (
            SignatureScheme::RSA_PSS_SHA512,
            &[check::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA384,
            &[check::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA256,
            &[check::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA512,
            &[check::RSA_PKCS1_2048_8192_SHA512],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA384,
            &[check::RSA_PKCS1_2048_8192_SHA384],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA256,
            &[check::RSA_PKCS1_2048_8192_SHA256],
        ),
    ],
};

impl SecureRandom for Parts {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        use ring::rand::SecureRandom as _;
        ring::rand::SystemRandom::new()
            .fill(bytes)
            .map_err(|_| GetRandomFailed)
    }
}

/// We show no certificate to upstreams.
impl KeyProvider for Parts {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("no client certificates".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::default_provider;

    use super::*;

    #[test]
    fn the_default_is_offered_without_chacha20() {
        let default = default_provider();
        let expected: Vec<_> = default
            .cipher_suites
            .iter()
            .map(|suite| suite.suite())
            .filter(|suite| !format!("{suite:?}").contains("CHACHA20"))
            .collect();
        let own = provider();
        let offered: Vec<_> = own
            .cipher_suites
            .iter()
            .map(|suite| suite.suite())
            .collect();
        assert_eq!(offered, expected);
        let groups = |provider: &CryptoProvider| {
            let groups = provider.kx_groups.iter();
            groups.map(|group| group.name()).collect::<Vec<_>>()
        };
        assert_eq!(groups(&own), groups(&default));
    }

    #[test]
    fn the_same_signatures_are_checked_as_by_default() {
        let (own, default) = (
            SIGNATURES,
            default_provider().signature_verification_algorithms,
        );
        assert_eq!(own.supported_schemes(), default.supported_schemes());
        assert_eq!(format!("{:?}", own.all), format!("{:?}", default.all));
        assert_eq!(
            format!("{:?}", own.mapping),
            format!("{:?}", default.mapping)
        );
    }

    #[test]
    fn random_numbers_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        Parts.fill(&mut first).unwrap();
        Parts.fill(&mut second).unwrap();
        assert_ne!(first, second);
        assert_ne!(first, [0; 32]);
    }
}
