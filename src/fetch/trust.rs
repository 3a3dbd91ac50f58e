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

/// The roots for one service: `replaced` instead of the built-in ones, `added` beside them.
pub(super) fn root_certs(replaced: Option<&Roots>, added: Option<&Roots>) -> RootCerts {
    match (replaced, added) {
        (None, None) => RootCerts::WebPki,
        (Some(roots), None) => RootCerts::Specific(Arc::clone(&roots.0)),
        (replaced, Some(added)) => {
            let mut certificates = match replaced {
                Some(roots) => roots.0.to_vec(),
                None => webpki_root_certs::TLS_SERVER_ROOT_CERTS
                    .iter()
                    .map(|der| Certificate::from_der(der))
                    .collect(),
            };
            certificates.extend(added.0.iter().cloned());
            RootCerts::Specific(Arc::new(certificates))
        }
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
