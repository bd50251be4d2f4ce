//! What the config says of coordination.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Span;
use crate::net::Tls;
use crate::secret::Secret;

/// How agents agree on who acts. Left out, this agent is the only one: the lock of its `data_dir` is its lease.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Coordinate")]
pub struct Settings {
    /// Several agents, each with this same config but a name (`agent.name`) and a `data_dir` of its own, share their leases, intents and
    /// what they see through etcd (3.4 or later).
    pub etcd: Option<EtcdSettings>,
    /// The same through Leases of Kubernetes.
    pub kubernetes: Option<KubernetesSettings>,
}

/// Where a pod finds what it needs to speak to the API server.
pub const IN_CLUSTER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Leases of Kubernetes (`coordination.k8s.io/v1`). In a pod nothing need be said: address, account and namespace are those of the pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Kubernetes")]
pub struct KubernetesSettings {
    /// The API server, as `https://host:6443`. Without it: that of the pod's own cluster.
    pub url: Option<String>,
    /// Where the Leases are. Without it: the pod's own namespace.
    pub namespace: Option<String>,
    /// The names of all objects begin so: one prefix for each fleet.
    pub prefix: String,
    /// How long a lease lasts without being renewed, in whole seconds. Its holder acts for two thirds of it; another agent takes over after all of it.
    pub ttl: Span,
    /// The file of a bearer token, read anew for each request. Without it: the pod's own, if there is no `url` either.
    pub token_file: Option<PathBuf>,
    /// Certificates, for `https`. Without a `ca_file`: the pod's own, if there is no `url` either.
    pub tls: Tls,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            url: None,
            namespace: None,
            prefix: "jurymast".into(),
            ttl: ttl(),
            token_file: None,
            tls: Tls::default(),
        }
    }
}

impl KubernetesSettings {
    /// Where the API server is.
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or("https://kubernetes.default.svc")
    }

    /// Which namespace.
    pub fn namespace(&self) -> Result<String, String> {
        if let Some(namespace) = &self.namespace {
            return Ok(namespace.clone());
        }
        let file = format!("{IN_CLUSTER}/namespace");
        std::fs::read_to_string(&file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("namespace is not set, and this is no pod: {file}: {error}"))
    }

    /// The file of the token, if there is one.
    pub fn token_file(&self) -> Option<PathBuf> {
        let own = || self.url.is_none().then(|| PathBuf::from(format!("{IN_CLUSTER}/token")));
        self.token_file.clone().or_else(own)
    }

    /// The certificates.
    pub fn tls(&self) -> Tls {
        let mut tls = self.tls.clone();
        if tls.ca_file.is_none() && self.url.is_none() {
            tls.ca_file = Some(PathBuf::from(format!("{IN_CLUSTER}/ca.crt")));
        }
        tls
    }

    fn check(&self) -> Result<(), String> {
        let place = "coordinate.kubernetes";
        let url = reqwest::Url::parse(self.url()).ok().filter(reqwest::Url::has_host);
        let Some(url) = url.filter(|url| ["http", "https"].contains(&url.scheme())) else {
            return Err(format!(
                "{place}.url: '{}' is not of the form https://host:port",
                self.url()
            ));
        };
        if self.token_file().is_some() && url.scheme() == "http" && url.host_str() != Some("127.0.0.1") {
            return Err(format!(
                "{place}: the token would go over {url} in clear text: use https"
            ));
        }
        if self.url.is_some() && self.namespace.is_none() {
            return Err(format!("{place}.namespace: outside of a pod it must be said"));
        }
        let fits = |name: &str| {
            let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !name.is_empty()
                && name.len() <= 63
                && name.chars().all(inside)
                && !name.starts_with('-')
                && !name.ends_with('-')
        };
        // The names made of it must stay within the 253 characters of Kubernetes, and a label's within 63.
        if !fits(&self.prefix) {
            return Err(format!(
                "{place}.prefix: '{}': lower case letters, digits and -, at most 63",
                self.prefix
            ));
        }
        if let Some(namespace) = self.namespace.as_deref().filter(|name| !fits(name)) {
            return Err(format!("{place}.namespace: '{namespace}' is no name of a namespace"));
        }
        check_ttl(place, self.ttl)
    }
}

fn check_ttl(place: &str, ttl: Span) -> Result<(), String> {
    let whole = ttl.0.subsec_nanos() == 0;
    if !whole || !(2..=300).contains(&ttl.0.as_secs()) {
        return Err(format!("{place}.ttl: {ttl} must be whole seconds from 2s to 5m"));
    }
    Ok(())
}

/// An etcd, reached through its JSON gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Etcd")]
pub struct EtcdSettings {
    /// Its members, as `http://host:2379`. One that does not answer is passed over.
    pub endpoints: Vec<String>,
    /// All keys begin so: one prefix for each fleet.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// How long a lease lasts without being renewed, in whole seconds. Its holder acts for two thirds of it; another agent takes over after
    /// all of it. etcd grants no less than one and a half of its election timeouts: 2 s by its defaults.
    #[serde(default = "ttl")]
    pub ttl: Span,
    /// User name, where etcd wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// Password; better in `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Certificates, for `https`.
    #[serde(default)]
    pub tls: Tls,
}

fn prefix() -> String {
    "/jurymast/".into()
}

const fn ttl() -> Span {
    Span::secs(6)
}

impl Settings {
    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), String> {
        if let Some(kubernetes) = &self.kubernetes {
            if self.etcd.is_some() {
                return Err("coordinate: etcd and kubernetes exclude each other".into());
            }
            return kubernetes.check();
        }
        let Some(etcd) = &self.etcd else { return Ok(()) };
        if etcd.endpoints.is_empty() {
            return Err("coordinate.etcd.endpoints: at least one is needed, such as http://127.0.0.1:2379".into());
        }
        for endpoint in &etcd.endpoints {
            let url = reqwest::Url::parse(endpoint);
            if !url.is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host()) {
                return Err(format!(
                    "coordinate.etcd.endpoints: '{endpoint}' is not of the form http://host:port"
                ));
            }
        }
        if etcd.prefix.is_empty() || !etcd.prefix.ends_with('/') {
            return Err(format!("coordinate.etcd.prefix: '{}' must end with /", etcd.prefix));
        }
        check_ttl("coordinate.etcd", etcd.ttl)
    }

    /// Do several agents share the services?
    pub const fn is_shared(&self) -> bool {
        self.etcd.is_some() || self.kubernetes.is_some()
    }
}
