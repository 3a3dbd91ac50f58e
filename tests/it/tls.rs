//! Real TLS, with a certificate authority of our own: whom we trust, and whom not.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::exporter::Setup;
use crate::fixtures;
use crate::upstream::{self, Stream, Upstream};

/// A certificate authority as PEM, and an upstream at https://localhost that it vouches for.
pub fn secure_upstream() -> (String, Upstream) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let wrap = move |stream: TcpStream| -> Option<Box<dyn Stream>> {
        let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
        Some(Box::new(StreamOwned::new(connection, stream)))
    };
    (
        authority.pem(),
        Upstream::start_with("https", "localhost", wrap),
    )
}

fn up(service: &str) -> String {
    format!("saas_exporter_service_up{{service=\"{service}\"}}")
}

#[test]
fn an_authority_of_our_own_is_trusted_by_ssl_cert_file_and_by_ca_file_and_not_otherwise() {
    let (authority, upstream) = secure_upstream();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let setup = Setup::new(
        "tls",
        json!({"example": {"name": "Example", "url": upstream.url("/s")}}),
    );
    let exporter = setup.start();
    exporter.wait_for_value(
        "saas_exporter_poll_failures_total{kind=\"tls\",service=\"example\"}",
        1.0,
    );
    let log = exporter.wait_for_log("kind=tls");
    assert!(log.contains("ca_file"), "the remedy is named: {log}");
    exporter.kill();

    let ca = setup
        .folder
        .write("ca.pem", &authority)
        .display()
        .to_string();
    let services = json!({
        "with": {"name": "With", "url": upstream.url("/s"), "ca_file": ca},
        "without": {"name": "Without", "url": upstream.url("/s")},
    });
    setup.folder.write("services.json", services.to_string());
    let exporter = setup.start();
    exporter.wait_for_value(&up("with"), 1.0);
    exporter.wait_for_value(&up("without"), 0.0);
    exporter.kill();

    let setup = setup.with("SSL_CERT_FILE", ca);
    let exporter = setup.start();
    exporter.wait_for_value(&up("with"), 1.0);
    exporter.wait_for_value(&up("without"), 1.0);
}

#[test]
fn a_certificate_for_another_name_is_not_trusted() {
    let (authority, upstream) = secure_upstream();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let url = upstream.url("/s").replace("localhost", "127.0.0.1");
    let setup = Setup::new(
        "tls-name",
        json!({"example": {"name": "Example", "url": url}}),
    );
    let ca = setup
        .folder
        .write("ca.pem", &authority)
        .display()
        .to_string();
    let exporter = setup.with("SSL_CERT_FILE", ca).start();
    exporter.wait_for_value(
        "saas_exporter_poll_failures_total{kind=\"tls\",service=\"example\"}",
        1.0,
    );
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let (authority, upstream) = secure_upstream();
    let plain = Upstream::start();
    plain.set("/s", upstream::json(fixtures::calm().to_string()));
    upstream.set("/s", upstream::redirect(302, plain.url("/s")));
    let setup = Setup::new(
        "downgrade",
        json!({"example": {"name": "Example", "url": upstream.url("/s")}}),
    );
    let ca = setup
        .folder
        .write("ca.pem", &authority)
        .display()
        .to_string();
    let exporter = setup.with("SSL_CERT_FILE", ca).start();
    exporter.wait_for_value(
        "saas_exporter_poll_failures_total{kind=\"redirect\",service=\"example\"}",
        1.0,
    );
    assert!(plain.requests("/s").is_empty());
}

#[test]
fn plain_text_behind_an_https_address_is_a_tls_failure() {
    let plain = Upstream::start();
    plain.set("/s", upstream::json(fixtures::calm().to_string()));
    let url = plain.url("/s").replace("http:", "https:");
    let exporter = Setup::new("plain", json!({"example": {"name": "Example", "url": url}})).start();
    exporter.wait_for("a failure", |page| {
        page.value("saas_exporter_poll_failures_total{kind=\"tls\",service=\"example\"}")
            == Some(1.0)
            || page.value("saas_exporter_poll_failures_total{kind=\"connect\",service=\"example\"}")
                == Some(1.0)
    });
}
