//! One HTTP interface: where it is, how it is authenticated, and what its answers leave open.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::act::executor::read_bounded;
use crate::act::runner::Applied;
use crate::net::Tls;

/// An answer longer than this is no answer.
const ANSWER_MAX: usize = 8 << 20;

/// Where an interface is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// `https://host:port`.
    pub url: String,
    /// The file of a bearer token, read anew for each request: Kubernetes rotates it.
    pub token_file: Option<PathBuf>,
    /// The CA that signed its certificate, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, in PEM.
    pub cert_file: Option<PathBuf>,
    /// See `cert_file`.
    pub key_file: Option<PathBuf>,
}

/// Why there is no good answer.
#[derive(Debug)]
pub enum Failed {
    /// Nothing was done.
    NoEffect(String),
    /// It refuses, with that status: nothing was done.
    Refused(u16, String),
    /// Something may have been done.
    Unknown(String),
}

impl Failed {
    /// The words.
    pub fn why(self) -> String {
        match self {
            Self::NoEffect(why) | Self::Refused(_, why) | Self::Unknown(why) => why,
        }
    }
}

impl From<Failed> for Applied {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unknown(why) => Self::Unknown(why),
            other => Self::NoEffect(other.why()),
        }
    }
}

/// A request.
pub struct Request<'a> {
    pub method: reqwest::Method,
    pub path: &'a str,
    pub body: Option<(&'static str, Value)>,
    pub header: Option<(&'static str, String)>,
}

impl<'a> Request<'a> {
    pub const fn get(path: &'a str) -> Self {
        Self {
            method: reqwest::Method::GET,
            path,
            body: None,
            header: None,
        }
    }

    pub const fn post(path: &'a str, json: Value) -> Self {
        Self {
            method: reqwest::Method::POST,
            path,
            body: Some(("application/json", json)),
            header: None,
        }
    }
}

/// A playbook gives an empty path where a service has no such file.
fn given(file: Option<&PathBuf>) -> Option<&PathBuf> {
    file.filter(|file| !file.as_os_str().is_empty())
}

impl Api {
    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.url).map_err(|error| format!("'{}' is not a URL: {error}", self.url))?;
        if given(self.token_file.as_ref()).is_some() && url.scheme() == "http" && url.host_str() != Some("127.0.0.1") {
            return Err(format!("the token would go over {} in clear text: use https", self.url));
        }
        Ok(())
    }

    fn client(&self) -> Result<reqwest::Client, String> {
        let tls = Tls {
            ca_file: given(self.ca_file.as_ref()).cloned(),
            cert_file: given(self.cert_file.as_ref()).cloned(),
            key_file: given(self.key_file.as_ref()).cloned(),
        };
        let builder = tls.http().map_err(|error| error.to_string())?;
        builder.build().map_err(|error| error.to_string())
    }

    /// Asks. A good answer without a body is `null`.
    pub async fn send(&self, request: Request<'_>, limit: Duration) -> Result<Value, Failed> {
        let client = self.client().map_err(Failed::NoEffect)?;
        let url = format!("{}{}", self.url.trim_end_matches('/'), request.path);
        let mut sent = client.request(request.method.clone(), &url).timeout(limit);
        if let Some(file) = given(self.token_file.as_ref()) {
            let token = std::fs::read_to_string(file)
                .map_err(|error| Failed::NoEffect(format!("{}: {error}", file.display())))?;
            sent = sent.bearer_auth(token.trim_end());
        }
        if let Some((name, value)) = request.header {
            sent = sent.header(name, value);
        }
        if let Some((kind, json)) = request.body {
            sent = sent.header("Content-Type", kind).body(json.to_string());
        }
        let answer = match sent.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(Failed::NoEffect(format!("{url}: {error}")));
            }
            Err(error) => return Err(Failed::Unknown(format!("{url}: {error}"))),
        };
        let status = answer.status();
        let body = read_bounded(answer, ANSWER_MAX)
            .await
            .map_err(|error| Failed::Unknown(format!("{url}: {error}")))?;
        if status.is_success() {
            // Patroni answers a command in words.
            return Ok(serde_json::from_slice(&body).unwrap_or(Value::Null));
        }
        let words: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        let why = format!("{url} answers {status}: {words}");
        // A refusal is a refusal; an error of the server may have come after the effect.
        if status.is_server_error() {
            Err(Failed::Unknown(why))
        } else {
            Err(Failed::Refused(status.as_u16(), why))
        }
    }
}

/// A name that may stand in a path.
pub fn sane(what: &str, name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(fits) || name.contains("..") {
        return Err(format!("{what} '{name}': letters, digits and -_. only"));
    }
    Ok(())
}
