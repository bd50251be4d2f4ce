//! The HTTP client of scrapes and queries.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::net::Tls;
use crate::secret::{Secret, resolve};

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

/// A client with its credentials.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    user: Option<(String, Secret)>,
    bearer: Option<Secret>,
}

impl Client {
    /// By settings. `Err` is a sentence for a person.
    pub fn new(settings: &HttpSettings, timeout: Duration) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout);
        if settings.tls != Tls::default() {
            let config = settings.tls.client_config().map_err(|error| error.to_string())?;
            builder = builder.tls_backend_preconfigured(rustls::ClientConfig::clone(&config));
        }
        let user = match &settings.basic_auth {
            None => None,
            Some(auth) => {
                let password = resolve(auth.password.as_ref(), auth.password_file.as_deref());
                Some((
                    auth.username.clone(),
                    password.map_err(|error| error.to_string())?.unwrap_or_default(),
                ))
            }
        };
        let bearer = resolve(settings.bearer_token.as_ref(), settings.bearer_token_file.as_deref());
        Ok(Self {
            http: builder.build().map_err(|error| error.to_string())?,
            user,
            bearer: bearer.map_err(|error| error.to_string())?,
        })
    }

    /// A GET with the credentials.
    pub fn get(&self, url: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.get(url);
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password.expose()));
        }
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer.expose());
        }
        request
    }
}
