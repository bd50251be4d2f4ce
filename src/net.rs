//! TLS as all clients of the shell use it: rustls with ring, the operator's own CA where he names one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a connection is secured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The CA that signed the peer's certificate, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, in PEM, where the peer wants one.
    pub cert_file: Option<PathBuf>,
    /// Its key, in PEM.
    pub key_file: Option<PathBuf>,
}

/// Certificates or keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no PEM of the wanted sort.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// A certificate without its key, or the other way round.
    #[error("tls: cert_file and key_file belong together; one of them is missing")]
    Half,
    /// What the files hold does not fit together.
    #[error("tls: {0}")]
    Config(#[from] rustls::Error),
}

/// Makes ring the process's provider of cryptography. Done once, by whoever owns the process; a second time changes nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |error: String| TlsError::File {
        path: path.to_owned(),
        error,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| wrong(e.to_string()))?
        .collect();
    let found = found.map_err(|e| wrong(e.to_string()))?;
    if found.is_empty() {
        Err(wrong("it holds no certificate in PEM".into()))
    } else {
        Ok(found)
    }
}

impl Tls {
    /// As rustls takes it. Without a `ca_file` no peer is trusted, because there is no list of public CAs here.
    pub fn client_config(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = &self.ca_file {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::File {
                    path: key.clone(),
                    error: e.to_string(),
                })?;
                builder.with_client_auth_cert(certificates(cert)?, key)?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(TlsError::Half),
        };
        Ok(Arc::new(config))
    }
}
