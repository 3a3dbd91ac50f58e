//! Whom TLS believes: the built-in roots, replaced by `SSL_CERT_FILE`, with a service's `ca_file` added.

use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Certificates out of a PEM file.
#[derive(Clone)]
pub struct Roots(Arc<Vec<Certificate<'static>>>);

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Roots({} certificates)", self.0.len())
    }
}

impl Roots {
    /// Whether both hold the same certificates.
    pub fn is_like(&self, other: &Roots) -> bool {
        let ders = |roots: &Roots| -> Vec<Vec<u8>> {
            roots.0.iter().map(|one| one.der().to_owned()).collect()
        };
        ders(self) == ders(other)
    }

    /// Reads the certificates of a PEM text; other items are passed over.
    ///
    /// # Errors
    /// A sentence without the file's name when there is none, or an item that cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Roots, String> {
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                Ok(_) => {}
                Err(cause) => return Err(format!("cannot be read as PEM: {cause}")),
            }
        }
        if certificates.is_empty() {
            return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
        }
        Ok(Roots(Arc::new(certificates)))
    }
}

/// The roots of one service, to be tried one after the other: a host is trusted if any of them vouches for it.
///
/// `replaced` stands instead of the built-in roots, `added` beside them. A handshake that fails sends no request, so
/// the second try costs a connection and nothing else; the built-in roots exist only in a form that no certificate can
/// be added to.
pub(super) fn roots_in_turn(replaced: Option<&Roots>, added: Option<&Roots>) -> Vec<RootCerts> {
    let specific =
        |certificates: Vec<Certificate<'static>>| RootCerts::Specific(Arc::new(certificates));
    match (replaced, added) {
        (None, None) => vec![RootCerts::WebPki],
        (Some(roots), None) => vec![RootCerts::Specific(Arc::clone(&roots.0))],
        (None, Some(added)) => vec![RootCerts::Specific(Arc::clone(&added.0)), RootCerts::WebPki],
        (Some(roots), Some(added)) => vec![specific(
            roots.0.iter().chain(added.0.iter()).cloned().collect(),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        assert!(
            Roots::from_pem(b"hello")
                .unwrap_err()
                .contains("no certificate")
        );
        assert!(Roots::from_pem(b"").unwrap_err().contains("no certificate"));
    }
}
