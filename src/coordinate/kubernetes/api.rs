//! The Leases of one namespace, through the API server: `coordination.k8s.io/v1`.
//!
//! Every write names the `resourceVersion` that it replaces: the server refuses it (409) if anybody has written meanwhile, so a try that arrives late
//! changes nothing.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::object::{DOMAIN, Object};
use crate::coordinate::settings::{IN_CLUSTER, KubernetesSettings};
use crate::net::ask;

/// An answer longer than this is refused.
const ANSWER_MAX: usize = 64 << 20;

/// A request that has not been carried out, or whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Another one has written since: the race is lost. For a new object: it is there already.
    #[error("{0} was changed by another one meanwhile")]
    Conflict(String),
    /// The server said no, and will again.
    #[error("kubernetes says: {0}")]
    Refused(String),
    /// There was no answer. It may have been carried out.
    #[error("the API server does not answer: {0}")]
    Silent(String),
    /// The settings cannot be followed.
    #[error("coordinate.kubernetes: {0}")]
    Settings(String),
}

/// See the module.
pub struct Api {
    http: reqwest::Client,
    settings: KubernetesSettings,
    leases: String,
    timeout: Duration,
}

impl Api {
    /// By settings; each request takes no longer than `timeout`.
    pub fn new(settings: &KubernetesSettings, timeout: Duration) -> Result<Self, CallError> {
        let wrong = |error: String| CallError::Settings(error);
        let namespace = settings.namespace().map_err(wrong)?;
        let builder = settings.tls().http().map_err(|error| wrong(error.to_string()))?;
        let http = builder.timeout(timeout).build();
        Ok(Self {
            http: http.map_err(|error| wrong(error.to_string()))?,
            leases: format!(
                "{}/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
                settings.url().trim_end_matches('/')
            ),
            settings: settings.clone(),
            timeout,
        })
    }

    /// How long a request takes at most.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Every Lease of the fleet, as the store has them at this moment.
    pub async fn list(&self) -> Result<Vec<Object>, CallError> {
        let selector = format!("{DOMAIN}/fleet={}", self.settings.prefix);
        // Without a resourceVersion the server asks etcd, and not what it remembers.
        let request = self.http.get(&self.leases).query(&[("labelSelector", &selector)]);
        let mut answer = self.send(request, "the leases").await?;
        Ok(match answer["items"].take() {
            Value::Array(items) => items.into_iter().map(Object).collect(),
            _ => Vec::new(),
        })
    }

    /// The Lease of that name.
    pub async fn get(&self, name: &str) -> Result<Option<Object>, CallError> {
        let request = self.http.get(format!("{}/{name}", self.leases));
        match self.answer(request, name).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, value) => Ok(Some(Object(good(status, value, name)?))),
        }
    }

    /// Makes it new, or replaces what its `resourceVersion` says. Gives it back as it is then.
    pub async fn write(&self, object: &Object) -> Result<Object, CallError> {
        let name = object.name();
        let (method, url) = if object.version().is_empty() {
            (Method::POST, self.leases.clone())
        } else {
            (Method::PUT, format!("{}/{name}", self.leases))
        };
        let request = self.http.request(method, url).json(&object.0);
        self.send(request, name).await.map(Object)
    }

    /// Would a Lease be written? Nothing is.
    pub async fn may_write(&self) -> Result<(), CallError> {
        let object = Object::new(&self.settings.prefix, &format!("{}-check", self.settings.prefix));
        let request = self.http.post(&self.leases).query(&[("dryRun", "All")]).json(&object.0);
        self.send(request, object.name()).await.map(drop)
    }

    async fn send(&self, request: reqwest::RequestBuilder, name: &str) -> Result<Value, CallError> {
        let (status, value) = self.answer(request, name).await?;
        good(status, value, name)
    }

    async fn answer(&self, mut request: reqwest::RequestBuilder, name: &str) -> Result<(StatusCode, Value), CallError> {
        // Read anew each time: Kubernetes rotates it.
        if let Some(file) = self.settings.token_file() {
            request = request.bearer_auth(token(&file)?);
        }
        let (status, bytes) = ask(request, name, ANSWER_MAX).await.map_err(CallError::Silent)?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|_| CallError::Silent(format!("{name}: {status} and no JSON: is it an API server?")))?;
        Ok((status, value))
    }
}

fn token(file: &Path) -> Result<String, CallError> {
    std::fs::read_to_string(file)
        .map(|text| text.trim_end().to_owned())
        .map_err(|error| CallError::Settings(format!("token_file {}: {error}", file.display())))
}

fn good(status: StatusCode, value: Value, name: &str) -> Result<Value, CallError> {
    if status.is_success() {
        return Ok(value);
    }
    let words = value["message"].as_str().unwrap_or("an error without words");
    Err(match status {
        StatusCode::CONFLICT => CallError::Conflict(name.to_owned()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CallError::Refused(format!(
            "{status}: {words} (its account needs get, list, create and update of leases.coordination.k8s.io in the namespace; \
             deploy/kubernetes has the role; token from {IN_CLUSTER}/token unless token_file says otherwise)"
        )),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            CallError::Silent(format!("{name}: {status}: {words}"))
        }
        status => CallError::Refused(format!("{status}: {words}")),
    })
}
