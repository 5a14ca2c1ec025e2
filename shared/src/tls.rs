//! The one TLS of the process, rustls with ring; the root certificates, which AWS's clients take
//! from here too; and the HTTP clients of everything else.

use std::env::var_os;
use std::path::Path;
use std::sync::LazyLock;

use data_encoding::BASE64;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};

/// All roots in one file, where Amazon Linux has them and so Lambda. Looked for as elsewhere, it
/// and what lies beside it would be read.
const BUNDLE: &str = "/etc/pki/tls/certs/ca-bundle.crt";

/// What reading and parsing the roots once gives.
struct Roots {
    /// Clients that share it resume each other's sessions.
    config: ClientConfig,
    pem: String,
}

static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .any(|name| var_os(name).is_some_and(|path| !path.is_empty()));
    Roots::read(if is_named { "" } else { BUNDLE })
});

impl Roots {
    /// Reads the bundle, or where there is none what the environment names or the system trusts.
    fn read(bundle: &str) -> Roots {
        let mut certificates = load_certs_from_paths(Some(Path::new(bundle)), None).certs;
        if certificates.is_empty() {
            certificates = load_native_certs().certs;
        }
        let mut store = RootCertStore::empty();
        // AWS's clients panic at one that cannot be used.
        certificates.retain(|certificate| store.add(certificate.clone()).is_ok());
        let pem = certificates.iter().map(|certificate| {
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                BASE64.encode(certificate)
            )
        });
        use_ring();
        let config = ClientConfig::builder()
            .with_root_certificates(store)
            .with_no_client_auth();
        Roots {
            config,
            pem: pem.collect(),
        }
    }
}

/// A process has one provider of cryptography, and whichever call is the first installs it.
fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The roots, one after another. Without any nothing can be asked.
pub(crate) fn roots() -> &'static str {
    &ROOTS.pem
}

/// A client, to be finished, for what begins with this address. For what is on this machine it
/// needs no certificates.
pub fn client_of(address: &str) -> reqwest::ClientBuilder {
    if address.starts_with("http://") {
        return loopback();
    }
    reqwest::Client::builder().tls_backend_preconfigured(ROOTS.config.clone())
}

/// A client for what is on this machine: without a proxy, and without certificates to read.
pub fn loopback() -> reqwest::ClientBuilder {
    use_ring();
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The roots are those of the bundle alone, but one that no client could use. A client takes
    /// this TLS: both are of one version.
    #[test]
    fn a_bundle_is_enough() {
        let roots = Roots::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/roots.pem"));
        assert_eq!(roots.pem.matches("BEGIN").count(), 1);
        client_of("https://provider.example").build().unwrap();
    }
}
