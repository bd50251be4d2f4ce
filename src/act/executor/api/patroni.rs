//! Patroni: where it owns a `PostgreSQL` it is asked to switch, by its REST interface, and never gone round. It fences, promotes and rewinds by itself.
//!
//! With a leader it is a switchover, without one a failover; both name the candidate.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::{Api, Failed, Request};
use crate::act::BoxFuture;
use crate::act::executor::wait::Looks;
use crate::act::executor::{Call, Executor, TokenClass, parameters};
use crate::act::runner::{Applied, Effect};

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(200);

/// See the module.
pub struct Patroni;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// The REST interfaces of the members, with commas between them: the first that answers is asked.
    members: String,
    /// Credentials for them; its `url` is not used.
    #[serde(default)]
    api: Api,
    /// The member that is to lead.
    to: String,
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        if with.to.is_empty() {
            return Err("patroni needs to, the member that is to lead".into());
        }
        for api in with.apis() {
            api.check()?;
        }
        Ok(with)
    }

    fn apis(&self) -> Vec<Api> {
        let urls = self.members.split(',').map(str::trim);
        urls.map(|url| Api {
            url: url.to_owned(),
            ..self.api.clone()
        })
        .collect()
    }
}

/// Who leads.
#[derive(Debug, PartialEq, Eq)]
struct Cluster {
    leader: Option<String>,
    paused: bool,
}

fn read(answer: &Value) -> Option<Cluster> {
    let members = answer.get("members")?.as_array()?;
    let word = |member: &Value, name: &str| member.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let leads =
        |member: &&Value| ["leader", "master", "primary", "standby_leader"].contains(&word(member, "role").as_str());
    let works = |member: &Value| ["running", "streaming"].contains(&word(member, "state").as_str());
    Some(Cluster {
        leader: members
            .iter()
            .filter(leads)
            .find(|m| works(m))
            .map(|member| word(member, "name")),
        paused: answer.get("pause").and_then(Value::as_bool).unwrap_or_default(),
    })
}

/// The first member that answers, and what it says.
async fn cluster(with: &With, limit: Duration) -> Result<(Api, Cluster), String> {
    let apis = with.apis();
    // A dead one must not take the time of those behind it.
    let share = limit / u32::try_from(apis.len().max(1)).unwrap_or(u32::MAX);
    let mut why = String::new();
    for api in apis {
        match api.send(Request::get("/cluster"), share).await {
            Ok(answer) => match read(&answer) {
                Some(cluster) => return Ok((api, cluster)),
                None => why = format!("{} is no Patroni", api.url),
            },
            Err(failed) => why = failed.why(),
        }
    }
    Err(format!("no member of Patroni answers; {why}"))
}

async fn apply(call: &Call<'_>) -> Applied {
    let until = Instant::now() + call.timeout;
    let begun = async {
        let with = With::checked(call.with)?;
        let (api, now) = cluster(&with, call.timeout).await?;
        Ok::<_, String>((with, api, now))
    };
    let (with, api, now) = match begun.await {
        Ok(begun) => begun,
        Err(why) => return Applied::NoEffect(why),
    };
    if now.leader.as_deref() == Some(with.to.as_str()) {
        return Applied::Done;
    }
    if now.paused {
        return Applied::NoEffect("Patroni is paused: resume it, or switch by hand".into());
    }
    let (path, body) = match &now.leader {
        Some(leader) => ("/switchover", json!({"leader": leader, "candidate": with.to})),
        None => ("/failover", json!({"candidate": with.to})),
    };
    match api.send(Request::post(path, body), call.timeout).await {
        Ok(_) => {}
        // It tells in good time what it did not do, and with 503 that it did not manage: the look tells.
        Err(Failed::Refused(_, why)) => return Applied::NoEffect(why),
        Err(failed) => return failed.into(),
    }
    let mut looks = Looks::new(until, LOOKS);
    while let Some(left) = looks.next().await {
        if let Ok((_, now)) = cluster(&with, left).await
            && now.leader.as_deref() == Some(with.to.as_str())
        {
            return Applied::Done;
        }
    }
    Applied::Unknown("Patroni has not switched in time".into())
}

impl Executor for Patroni {
    fn name(&self) -> &'static str {
        "patroni"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(apply(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return Effect::Unknown;
            };
            match cluster(&with, call.timeout).await {
                Ok((_, now)) if now.leader.as_deref() == Some(with.to.as_str()) => Effect::There,
                Ok((_, Cluster { leader: Some(_), .. })) => Effect::NotThere,
                // It has no leader at the moment: it is about to have one.
                _ => Effect::Unknown,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_does_not_run_leads_nothing() {
        let answer = json!({"members": [
            {"name": "a", "role": "leader", "state": "stopped"},
            {"name": "b", "role": "replica", "state": "streaming"},
        ]});
        let cluster = read(&answer).unwrap();
        assert!(cluster.leader.is_none() && !cluster.paused);
        assert_eq!(read(&json!({})), None);
    }
}
