//! TLS and HTTP as all clients of the shell use them: rustls with ring, the operator's own CA where he names one.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lets the kernel send nothing more once the connection is dropped. Else an order that was given up would still be delivered, minutes later, when a network that
/// was cut is whole again, and something else has been decided since.
pub fn send_nothing_later(stream: &tokio::net::TcpStream) {
    // Fails only for a socket that is no TCP socket.
    let _ = stream.set_zero_linger();
}

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
    /// A name that no certificate can be held against.
    #[error("tls: server_name '{0}': {1}; it needs a ca_file")]
    Name(String, String),
    /// What the files hold does not fit together.
    #[error("tls: {0}")]
    Config(#[from] rustls::Error),
}

/// An error with all its causes: the first of them tells least.
pub fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Sends a request and reads the whole answer, whatever its status. `Err`: why there is none, for a person; `from` is whom it would come from.
pub async fn ask(
    request: reqwest::RequestBuilder,
    from: &str,
    limit: usize,
) -> Result<(reqwest::StatusCode, Vec<u8>), String> {
    let silent = |error: reqwest::Error| whole(&error);
    let mut answer = request.send().await.map_err(silent)?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(silent)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            return Err(format!("{from}: more than {limit} bytes"));
        }
    }
    Ok((status, bytes))
}

/// Makes ring the process's provider of cryptography. Done once, by whoever owns the process; a second time changes nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An empty path names no file: playbooks leave out what a service does not state.
pub fn named<P: AsRef<Path> + ?Sized>(path: Option<&P>) -> Option<&Path> {
    path.map(AsRef::as_ref).filter(|path| !path.as_os_str().is_empty())
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

/// Which peers are believed to be who they say they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Peer {
    /// Whose certificate is of the CA and names the host that was asked.
    #[default]
    Host,
    /// Whose certificate is of the CA and names this one.
    Named(String),
    /// Anybody, whatever he shows.
    Anybody,
}

/// Looks at certificates otherwise than by the host that was asked; signatures are looked at as always.
#[derive(Debug)]
struct Believer {
    /// The name that must be certified, and by whom; `None` believes anybody.
    named: Option<(ServerName<'static>, Arc<WebPkiServerVerifier>)>,
    known: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.named {
            Some((name, by)) => by.verify_server_cert(own, between, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_schemes()
    }
}

impl Tls {
    /// As rustls takes it. Without a `ca_file` no peer is trusted, because there is no list of public CAs here.
    pub fn client_config(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        self.trusting(&Peer::Host).map(Arc::new)
    }

    fn trusting(&self, peer: &Peer) -> Result<rustls::ClientConfig, TlsError> {
        install_crypto();
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = named(self.ca_file.as_ref()) {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        let builder = rustls::ClientConfig::builder();
        let builder = match peer {
            Peer::Host => builder.with_root_certificates(roots),
            Peer::Named(_) | Peer::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believer::new(peer, roots)?)),
        };
        let config = match (named(self.cert_file.as_ref()), named(self.key_file.as_ref())) {
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::File {
                    path: key.to_owned(),
                    error: e.to_string(),
                })?;
                builder.with_client_auth_cert(certificates(cert)?, key)?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(TlsError::Half),
        };
        Ok(config)
    }

    /// Finds what cannot be followed where `scheme` begins the addresses of those that speak it; `secure`: this one does.
    pub fn check(&self, secure: bool, scheme: &str) -> Result<(), String> {
        let any = [&self.ca_file, &self.cert_file, &self.key_file];
        if !secure && any.into_iter().any(|path| named(path.as_ref()).is_some()) {
            return Err(format!("tls is given, but the address does not begin with {scheme}"));
        }
        if secure && named(self.ca_file.as_ref()).is_none() {
            return Err(format!(
                "{scheme} needs tls.ca_file, the CA that signed the server's certificate: there is no list of public CAs here"
            ));
        }
        if named(self.cert_file.as_ref()).is_some() != named(self.key_file.as_ref()).is_some() {
            return Err(TlsError::Half.to_string());
        }
        Ok(())
    }

    /// A client of HTTP that asks those whom it is told to ask, and nobody in between or beyond.
    pub fn http(&self) -> Result<reqwest::ClientBuilder, TlsError> {
        self.http_to(&Peer::Host)
    }

    /// The same, that believes such peers.
    pub fn http_to(&self, peer: &Peer) -> Result<reqwest::ClientBuilder, TlsError> {
        // A client cannot be made without it, not even for plain HTTP.
        install_crypto();
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        if *self == Self::default() && *peer == Peer::Host {
            return Ok(builder);
        }
        Ok(builder.tls_backend_preconfigured(self.trusting(peer)?))
    }
}

impl Believer {
    fn new(peer: &Peer, roots: rustls::RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let known = provider.signature_verification_algorithms;
        let Peer::Named(name) = peer else {
            return Ok(Self { named: None, known });
        };
        let by = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let by = by.map_err(|error| TlsError::Name(name.clone(), error.to_string()))?;
        let server = ServerName::try_from(name.clone());
        let server = server.map_err(|error| TlsError::Name(name.clone(), error.to_string()))?;
        Ok(Self {
            named: Some((server, by)),
            known,
        })
    }
}
