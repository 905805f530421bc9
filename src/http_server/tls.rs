//! TLS of connections: a certificate and its key from files, which can be replaced while the server runs.
//!
//! TLS 1.2 and 1.3 by rustls with ring. Not here: certificates of clients; who asks is known by tokens (see `access`).
//!
//! Invariant: a pair of files that does not fit together, or cannot be read, replaces nothing.

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The two do not fit together.
    #[error("{} and {} do not fit together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        source: rustls::Error,
    },
}

/// The certificate in force; clones share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

/// A certificate that was read and may be put in force.
#[derive(Debug)]
pub struct Certificate(Arc<ServerConfig>);

impl Certificate {
    /// Reads a chain of certificates and the key of the first, as PEM.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not fit.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |path: &Path, what: String| TlsError::File { path: path.to_path_buf(), what };
        let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| wrong(cert, error.to_string()))?;
        if chain.is_empty() {
            return Err(wrong(cert, "no certificate in PEM form".to_owned()));
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
        let pair = |source| TlsError::Pair { cert: cert.to_path_buf(), key: key.to_path_buf(), source };
        let versions = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let mut config = versions.with_no_client_auth().with_single_cert(chain, secret).map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl Tls {
    /// With this certificate in force.
    pub fn new(certificate: Certificate) -> Self {
        Self(Arc::new(RwLock::new(certificate.0)))
    }

    /// Puts another certificate in force for connections from now on.
    pub fn replace(&self, certificate: Certificate) {
        *self.0.write() = certificate.0;
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.read().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let error = || Certificate::read(&cert, &key).unwrap_err().to_string();
        assert!(error().contains("cert.pem: "), "{}", error());
        std::fs::write(&cert, "nothing").unwrap();
        assert!(error().ends_with("cert.pem: no certificate in PEM form"), "{}", error());
    }
}
