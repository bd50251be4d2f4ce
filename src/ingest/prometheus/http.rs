//! The HTTP client of scrapes and queries.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::net::{Peer, Tls};
use crate::secret::{Secret, resolve};

/// Redirects that are followed. Credentials go to the first host only.
const REDIRECTS_MAX: usize = 10;

/// How a target is authenticated to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// A bearer token; better in `bearer_token_file`.
    pub bearer_token: Option<Secret>,
    /// A file that holds the token.
    pub bearer_token_file: Option<PathBuf>,
    /// Certificates, for `https`.
    pub tls: Tls,
    /// Who is believed to be the target. Said by scrape configs of Prometheus alone.
    #[serde(skip)]
    pub peer: Peer,
}

/// User and password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// Password; better in `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// A client with its credentials. Cloning shares its connections.
#[derive(Clone)]
pub struct Client {
    settings: Arc<HttpSettings>,
    timeout: Duration,
    http: Arc<OnceLock<reqwest::Client>>,
}

impl Client {
    /// By settings. What is wrong with them is told when something is asked for: files may come later, and must not silence a source for good.
    pub fn new(settings: &HttpSettings, timeout: Duration) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            timeout,
            http: Arc::default(),
        }
    }

    /// How long an answer may take.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A GET with the credentials as their files hold them now. `Err` is a sentence for a person.
    pub fn get(&self, url: &str) -> Result<reqwest::RequestBuilder, String> {
        let http = match self.http.get() {
            Some(http) => http,
            None => {
                let built = self.build()?;
                self.http.get_or_init(|| built)
            }
        };
        let mut request = http.get(url);
        if let Some(auth) = &self.settings.basic_auth {
            let password = resolve(auth.password.as_ref(), auth.password_file.as_deref());
            let password = password
                .map_err(|error| format!("http.basic_auth: {error}"))?
                .unwrap_or_default();
            request = request.basic_auth(&auth.username, Some(password.expose()));
        }
        let bearer = resolve(
            self.settings.bearer_token.as_ref(),
            self.settings.bearer_token_file.as_deref(),
        );
        if let Some(bearer) = bearer.map_err(|error| format!("http.bearer_token_file: {error}"))? {
            request = request.bearer_auth(bearer.expose());
        }
        Ok(request)
    }

    fn build(&self) -> Result<reqwest::Client, String> {
        let builder = self
            .settings
            .tls
            .http_to(&self.settings.peer)
            .map_err(|error| error.to_string())?;
        builder
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
            .timeout(self.timeout)
            .build()
            .map_err(|error| error.to_string())
    }
}
