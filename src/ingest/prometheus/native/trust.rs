//! How targets, and servers that tell of targets, are authenticated to and told from others.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ingest::prometheus::http::{BasicAuth, HttpSettings};
use crate::net::{Peer, Tls};
use crate::secret::Secret;

/// A token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Its type; only `Bearer` is known.
    #[serde(rename = "type", default = "bearer")]
    pub kind: String,
    /// The token; better in `credentials_file`.
    #[serde(default)]
    pub credentials: Option<Secret>,
    /// A file that holds it.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn bearer() -> String {
    "Bearer".into()
}

/// The same in our own words.
pub(super) fn http(
    auth: Option<&BasicAuth>,
    authorization: Option<&Authorization>,
    token: (Option<&Secret>, Option<&PathBuf>),
    tls: &TlsConfig,
) -> HttpSettings {
    let (credentials, file) = authorization.map_or((None, None), |one| {
        (one.credentials.as_ref(), one.credentials_file.as_ref())
    });
    HttpSettings {
        basic_auth: auth.cloned(),
        bearer_token: credentials.or(token.0).cloned(),
        bearer_token_file: file.or(token.1).cloned(),
        tls: tls.tls(),
        peer: tls.peer(),
    }
}

/// How a target is told from others, as Prometheus has it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The CA that signed the peer's certificate, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, in PEM, where the peer wants one.
    pub cert_file: Option<PathBuf>,
    /// Its key, in PEM.
    pub key_file: Option<PathBuf>,
    /// Whom the certificate must name, if not the host of the target.
    pub server_name: Option<String>,
    /// Whoever answers is taken for the target. What he says may be anybody's.
    pub insecure_skip_verify: bool,
}

impl TlsConfig {
    fn tls(&self) -> Tls {
        Tls {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
        }
    }

    fn peer(&self) -> Peer {
        match &self.server_name {
            _ if self.insecure_skip_verify => Peer::Anybody,
            Some(name) => Peer::Named(name.clone()),
            None => Peer::Host,
        }
    }
}
