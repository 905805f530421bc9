//! HTTPS as a client: which certificates are trusted, by whoever asks other servers.
//!
//! TLS 1.2 and 1.3 by rustls with ring, as for connections that come in. Not here: what is asked (see `cli`, `pull`).
//!
//! Invariant: a certificate that cannot be traced to one that is trusted is refused; there is no way around that.

use rustls::crypto::ring;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// Where systems keep the certificates they trust: Debian and others, Fedora, Alpine and the BSDs.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The variable that names another file in their place, as OpenSSL has it.
const VARIABLE: &str = "SSL_CERT_FILE";

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's own answer.
        source: std::io::Error,
    },
    /// It holds no certificate.
    #[error("{}: no certificate in PEM form", .0.display())]
    Empty(PathBuf),
    /// The system keeps none where systems do.
    #[error("this system trusts no certificates: install ca-certificates, or name a file of them")]
    NoSystem,
}

/// Whether a URL asks for HTTPS.
pub fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// How connections are made to who is named by a URL: for HTTP without any certificate, for HTTPS with those of a file, or
/// with those that the system trusts.
///
/// # Errors
/// When HTTPS is asked for and there are no certificates.
pub fn tls_for(url: &str, trusted: Option<&Path>) -> Result<TlsConfig, TrustError> {
    let certificates = match (is_https(url), trusted) {
        (false, _) => Vec::new(),
        (true, Some(path)) => read(path)?,
        (true, None) => system()?,
    };
    let roots = RootCerts::Specific(Arc::new(certificates));
    let provider = Arc::new(ring::default_provider());
    Ok(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build())
}

fn system() -> Result<Vec<ureq::tls::Certificate<'static>>, TrustError> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return read(Path::new(&path));
    }
    let found = SYSTEM.iter().map(Path::new).find(|path| path.exists());
    found.map_or(Err(TrustError::NoSystem), read)
}

fn read(path: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>, TrustError> {
    let bytes = std::fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_path_buf(), source })?;
    let certificates: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() { Err(TrustError::Empty(path.to_path_buf())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_told_by_the_scheme_and_needs_certificates() {
        assert!(is_https("https://a") && is_https("HTTPS://a") && !is_https("http://a") && !is_https("httpsa"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(tls_for("http://a", Some(&path)).is_ok());
        let error = tls_for("https://a", Some(&path)).unwrap_err();
        assert!(error.to_string().ends_with("ca.pem: no certificate in PEM form"), "{error}");
        let missing = tls_for("https://a", Some(&folder.path().join("none"))).unwrap_err();
        assert!(matches!(missing, TrustError::Unreadable { .. }));
    }
}
