//! Kubernetes: `scale` a workload, `select` by a Service whom it serves, `cordon` and `uncordon` a node.
//!
//! The token is an annotation of the object that is changed. What was read is changed only if it still is what was read (`resourceVersion`): the API
//! server itself refuses whatever another one has overtaken.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::{Api, Failed, Request, sane};
use crate::act::BoxFuture;
use crate::act::executor::wait::Looks;
use crate::act::executor::{Call, Executor, TokenClass, parameters};
use crate::act::runner::{Applied, Effect};
use crate::model::Token;

/// Where the token is kept.
const TOKEN: &str = "jurymast.io/token";

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(200);

/// See the module.
pub struct Kubernetes;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    api: Api,
    #[serde(default = "default_namespace")]
    namespace: String,
    /// `scale`: `deployment` or `statefulset`.
    #[serde(default = "deployment")]
    kind: String,
    /// Of the workload, the Service or the node.
    name: String,
    /// `scale`: how many; a text, so that a playbook may fill it in.
    #[serde(default)]
    replicas: String,
    /// `select`: the labels of those that are served.
    #[serde(default)]
    selector: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Scale,
    Select,
    Cordon,
    Uncordon,
}

fn default_namespace() -> String {
    "default".into()
}

fn deployment() -> String {
    "deployment".into()
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.api.check()?;
        sane("name", &with.name)?;
        sane("namespace", &with.namespace)?;
        match with.verb {
            Verb::Scale if !["deployment", "statefulset"].contains(&with.kind.as_str()) => {
                Err(format!("kind '{}' is neither deployment nor statefulset", with.kind))
            }
            Verb::Scale => with.wanted().map(|_| ()),
            Verb::Select if with.selector.is_empty() => {
                Err("select needs selector, the labels of those that are served".into())
            }
            _ => Ok(()),
        }?;
        Ok(with)
    }

    fn wanted(&self) -> Result<u64, String> {
        self.replicas
            .parse()
            .map_err(|_| format!("replicas '{}' is not a number", self.replicas))
    }

    fn path(&self) -> String {
        let (namespace, name) = (&self.namespace, &self.name);
        match self.verb {
            Verb::Scale => format!("/apis/apps/v1/namespaces/{namespace}/{}s/{name}", self.kind),
            Verb::Select => format!("/api/v1/namespaces/{namespace}/services/{name}"),
            Verb::Cordon | Verb::Uncordon => format!("/api/v1/nodes/{name}"),
        }
    }

    fn spec(&self) -> Value {
        match self.verb {
            Verb::Scale => json!({"replicas": self.wanted().unwrap_or_default()}),
            Verb::Select => json!({"selector": self.selector}),
            Verb::Cordon => json!({"unschedulable": true}),
            Verb::Uncordon => json!({"unschedulable": null}),
        }
    }

    /// Is it still asked for? How far it has come is for probes to tell.
    fn asks(&self, object: &Value) -> bool {
        match self.verb {
            Verb::Scale => object.pointer("/spec/replicas").and_then(Value::as_u64) == self.wanted().ok(),
            _ => self.shows(object),
        }
    }

    /// Is it so already?
    fn shows(&self, object: &Value) -> bool {
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        match self.verb {
            Verb::Scale => {
                let wanted = self.wanted().unwrap_or_default();
                let seen = number("/status/observedGeneration") >= number("/metadata/generation");
                // Down is down only when the last one is gone, up is up when all are ready.
                let there = if wanted == 0 {
                    number("/status/replicas") == 0
                } else {
                    number("/status/readyReplicas") >= wanted
                };
                seen && number("/spec/replicas") == wanted && there
            }
            // Labels that are not ours to name are left as they are.
            Verb::Select => self
                .selector
                .iter()
                .all(|(label, value)| object.pointer("/spec/selector").and_then(|s| s.get(label)) == Some(value)),
            Verb::Cordon => object.pointer("/spec/unschedulable") == Some(&Value::Bool(true)),
            Verb::Uncordon => object.pointer("/spec/unschedulable") != Some(&Value::Bool(true)),
        }
    }
}

fn kept(object: &Value) -> Option<Token> {
    let text = object.pointer("/metadata/annotations")?.get(TOKEN)?.as_str()?;
    let (epoch, seq) = text.split_once('.')?;
    Some(Token {
        epoch: epoch.parse().ok()?,
        seq: seq.parse().ok()?,
    })
}

async fn change(with: &With, call: &Call<'_>) -> Result<(), Failed> {
    let path = with.path();
    let object = with.api.send(Request::get(&path), call.timeout).await?;
    if let Some(kept) = kept(&object).filter(|kept| *kept > call.token) {
        return Err(Failed::NoEffect(format!(
            "{} has been changed with token {kept}, ours is {}: another agent acts, or data_dir was lost (then remove the annotation {TOKEN})",
            with.name, call.token
        )));
    }
    let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    let patch = json!({
        "metadata": {"resourceVersion": version, "annotations": {TOKEN: call.token.to_string()}},
        "spec": with.spec(),
    });
    let request = Request {
        method: reqwest::Method::PATCH,
        path: &path,
        body: Some(("application/merge-patch+json", patch)),
        header: None,
    };
    with.api.send(request, call.timeout).await.map(|_| ())
}

async fn seen(with: &With, limit: Duration, so: impl Fn(&With, &Value) -> bool) -> Effect {
    match with.api.send(Request::get(&with.path()), limit).await {
        Ok(object) if so(with, &object) => Effect::There,
        Ok(_) => Effect::NotThere,
        Err(_) => Effect::Unknown,
    }
}

async fn apply(call: &Call<'_>) -> Applied {
    let until = Instant::now() + call.timeout;
    let with = match With::checked(call.with) {
        Ok(with) => with,
        Err(error) => return Applied::NoEffect(error),
    };
    if let Err(failed) = change(&with, call).await {
        return failed.into();
    }
    let mut looks = Looks::new(until, LOOKS);
    while let Some(left) = looks.next().await {
        if seen(&with, left, With::shows).await == Effect::There {
            return Applied::Done;
        }
    }
    Applied::Unknown(format!("{} was told, but is not there yet", with.name))
}

impl Executor for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Server
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(apply(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match With::checked(call.with) {
                Ok(with) => seen(&with, call.timeout, With::shows).await,
                Err(_) => Effect::Unknown,
            }
        })
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match With::checked(call.with) {
                Ok(with) => seen(&with, call.timeout, With::asks).await,
                Err(_) => Effect::Unknown,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_is_down_when_the_last_one_is_gone() {
        let with = json!({"do": "scale", "api": {"url": "http://127.0.0.1:1"}, "name": "ingest-a", "replicas": "0"});
        let with = With::checked(with.as_object().unwrap()).unwrap();
        let object = |replicas: u64, seen: u64| json!({"metadata": {"generation": 3}, "spec": {"replicas": 0}, "status": {"replicas": replicas, "observedGeneration": seen}});
        assert!(with.shows(&object(0, 3)));
        assert!(!with.shows(&object(1, 3)), "one still ends");
        assert!(!with.shows(&object(0, 2)), "nobody has looked at the order yet");
    }
}
