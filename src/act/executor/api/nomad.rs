//! Nomad: `scale` a group of a job (to 0 is the fence), `drain` and `undrain` a node.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::{Api, Request, sane};
use crate::act::BoxFuture;
use crate::act::executor::wait::Looks;
use crate::act::executor::{Call, Executor, TokenClass, parameters};
use crate::act::runner::{Applied, Effect};

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(200);

/// See the module.
pub struct Nomad;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    api: Api,
    /// `scale`: the job.
    #[serde(default)]
    job: String,
    /// `scale`: its group.
    #[serde(default)]
    group: String,
    /// `scale`: how many; a text, so that a playbook may fill it in.
    #[serde(default)]
    count: String,
    /// `drain`: the node, by its id.
    #[serde(default)]
    node: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Scale,
    Drain,
    Undrain,
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.api.check()?;
        match with.verb {
            Verb::Scale => {
                sane("job", &with.job)?;
                sane("group", &with.group)?;
                with.wanted().map(|_| ())
            }
            Verb::Drain | Verb::Undrain => sane("node", &with.node),
        }?;
        Ok(with)
    }

    fn wanted(&self) -> Result<u64, String> {
        self.count
            .parse()
            .map_err(|_| format!("count '{}' is not a number", self.count))
    }

    fn order(&self, call: &Call<'_>) -> (String, Value) {
        match self.verb {
            Verb::Scale => (
                format!("/v1/job/{}/scale", self.job),
                json!({
                    "Count": self.wanted().unwrap_or_default(),
                    "Target": {"Group": self.group},
                    "Message": format!("Jurymast, plan {}", call.plan),
                    "Meta": {"jurymast_token": call.token.to_string()},
                }),
            ),
            Verb::Drain => (
                format!("/v1/node/{}/drain", self.node),
                json!({"DrainSpec": {"Deadline": -1, "IgnoreSystemJobs": true}, "MarkEligible": false}),
            ),
            Verb::Undrain => (
                format!("/v1/node/{}/drain", self.node),
                json!({"DrainSpec": null, "MarkEligible": true}),
            ),
        }
    }

    fn look(&self) -> String {
        match self.verb {
            Verb::Scale => format!("/v1/job/{}/scale", self.job),
            Verb::Drain | Verb::Undrain => format!("/v1/node/{}", self.node),
        }
    }

    fn shows(&self, answer: &Value) -> Effect {
        match self.verb {
            Verb::Scale => {
                let Some(group) = answer.get("TaskGroups").and_then(|groups| groups.get(&self.group)) else {
                    return Effect::Unknown;
                };
                let number = |name: &str| group.get(name).and_then(Value::as_u64);
                let wanted = self.wanted().ok();
                if number("Desired") == wanted && number("Running") == wanted {
                    Effect::There
                } else {
                    Effect::NotThere
                }
            }
            Verb::Drain | Verb::Undrain => {
                let wanted = if self.verb == Verb::Drain {
                    "ineligible"
                } else {
                    "eligible"
                };
                match answer.get("SchedulingEligibility").and_then(Value::as_str) {
                    Some(is) if is == wanted => Effect::There,
                    Some(_) => Effect::NotThere,
                    None => Effect::Unknown,
                }
            }
        }
    }
}

async fn seen(with: &With, limit: Duration) -> Effect {
    match with.api.send(Request::get(&with.look()), limit).await {
        Ok(answer) => with.shows(&answer),
        Err(_) => Effect::Unknown,
    }
}

async fn apply(call: &Call<'_>) -> Applied {
    let until = Instant::now() + call.timeout;
    let with = match With::checked(call.with) {
        Ok(with) => with,
        Err(error) => return Applied::NoEffect(error),
    };
    let (path, body) = with.order(call);
    if let Err(failed) = with.api.send(Request::post(&path, body), call.timeout).await {
        return failed.into();
    }
    let mut looks = Looks::new(until, LOOKS);
    while let Some(left) = looks.next().await {
        if seen(&with, left).await == Effect::There {
            return Applied::Done;
        }
    }
    Applied::Unknown("Nomad was told, but it is not so yet".into())
}

impl Executor for Nomad {
    fn name(&self) -> &'static str {
        "nomad"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Nowhere
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(apply(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match With::checked(call.with) {
                Ok(with) => seen(&with, call.timeout).await,
                Err(_) => Effect::Unknown,
            }
        })
    }
}
