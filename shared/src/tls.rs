//! The HTTP clients of everything but AWS, with the one TLS: rustls with ring, and the certificates that the system trusts.

/// A client, to be finished.
pub fn client() -> reqwest::ClientBuilder {
    // A process has one provider of cryptography, and whichever call is the first installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// A client for what is on this machine: without a proxy, and without certificates to read.
pub fn loopback() -> reqwest::ClientBuilder {
    client().no_proxy().tls_certs_only([])
}
