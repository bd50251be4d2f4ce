//! Pacemaker: where it owns a service it is asked to move it, by `crm_resource`, and never gone round; `crm_mon` tells whether it will, and whether it has.
//!
//! `crm_resource --move` writes a wish down and ends well, whether the cluster can follow it or not: towards a node in standby, of a resource that is unmanaged. And
//! the wish stands until it is cleared: the resource would jump long after, when the reason is gone. So reasons are looked for first, a wish that is not followed
//! in time is taken back, and one that was followed as well (`clear`), which is done only if the resource stays then. Wishes of people (bans) are left alone.

mod cluster;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::cluster::{Cluster, Obstacle};
use super::tool::{Place, Tools};
use super::wait::Looks;
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, argv};

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(200);

/// A step keeps this share of its time for taking a wish back that was not followed, and at most so long.
const BACK_SHARE: u32 = 4;
const BACK_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub struct Pacemaker(Tools);

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    resource: String,
    /// The node to run on.
    to: String,
    /// The cluster node that is asked.
    #[serde(default)]
    at: Place,
    /// Instead of `crm_resource`.
    #[serde(default)]
    program: String,
    /// Instead of `crm_mon`.
    #[serde(default)]
    monitor: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    /// Asks for the move and waits for it.
    Move,
    /// Takes the wish away again that the move has left; the resource has to stay.
    Clear,
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.at.check()?;
        for (value, name) in [(&with.resource, "resource"), (&with.to, "to")] {
            if value.is_empty() || value.starts_with('-') {
                return Err(format!("pacemaker needs {name}; '{value}' is none"));
            }
        }
        Ok(with)
    }

    /// `crm_resource` with those words.
    fn tool(&self, words: &[&str]) -> Vec<String> {
        let name = if self.program.is_empty() {
            "crm_resource"
        } else {
            &self.program
        };
        let words = [name, "--resource", &self.resource]
            .into_iter()
            .chain(words.iter().copied())
            .filter(|word| !word.is_empty());
        self.at.command(&words.map(str::to_owned).collect::<Vec<_>>())
    }
}

impl Pacemaker {
    pub const fn new(tools: Tools) -> Self {
        Self(tools)
    }

    async fn cluster(&self, with: &With, limit: Duration) -> Result<Cluster, String> {
        let name = if with.monitor.is_empty() {
            "crm_mon"
        } else {
            &with.monitor
        };
        let command = with.at.command(&argv([name, "-1", "--output-as=xml"]));
        let said = self.0.look(&command, limit).await.good();
        said.and_then(|xml| Cluster::read(&xml, &with.resource)).map_err(|why| {
            let host = with.at.host();
            format!("Pacemaker does not answer at {host} ({why}): start it there, or let `cluster_ssh` name a node where it runs")
        })
    }

    /// Whether the wish stands that a move has left behind; `None` if nobody tells.
    async fn wished(&self, with: &With, limit: Duration) -> Option<bool> {
        let said = self.0.look(&with.tool(&["--constraints"]), limit).await.good().ok()?;
        let wish = |line: &str| line.contains("cli-prefer-") && line.contains(&format!("Node {} ", with.to));
        Some(said.lines().any(wish))
    }

    /// Waits for a cluster that would follow, for half of the time if what keeps it may pass by itself. `None` if it runs there already.
    async fn ready(&self, with: &With, limit: Duration) -> Result<Option<Cluster>, String> {
        let mut looks = Looks::new(Instant::now() + limit / 2, LOOKS);
        let mut why = String::new();
        while looks.next().await.is_some() {
            let cluster = self.cluster(with, limit / 2).await?;
            match cluster.obstacle(&with.resource, &with.to) {
                _ if cluster.runs_on(&with.to) => return Ok(None),
                None => return Ok(Some(cluster)),
                Some(Obstacle::Passing(passing)) => why = passing,
                Some(standing) => return Err(standing.why()),
            }
        }
        Err(why)
    }

    async fn move_it(&self, call: &Call<'_>, with: &With) -> Applied {
        let until = Instant::now() + call.timeout;
        let reserve = (call.timeout / BACK_SHARE).min(BACK_MAX);
        let (resource, to) = (&with.resource, &with.to);
        let promoted = match self.ready(with, call.timeout).await {
            Ok(None) => return Applied::Done,
            Ok(Some(cluster)) if cluster.is_promotable() => "--promoted",
            Ok(Some(_)) => "",
            Err(why) => return Applied::NoEffect(format!("Pacemaker is not asked to move {resource} to {to}: {why}")),
        };
        let ended = self
            .0
            .run(call, &with.tool(&["--move", promoted, "--node", to]), "")
            .await;
        if let Ended::NotStarted(why) = ended {
            return Applied::NoEffect(why);
        }
        // Whatever its exit code says: a wish may stand, and is either seen to be followed or taken back.
        let refused = ended.good().err();
        let mut looks = Looks::new(until - reserve, LOOKS);
        while refused.is_none()
            && let Some(left) = looks.next().await
        {
            if self.cluster(with, left).await.is_ok_and(|now| now.runs_on(to)) {
                return Applied::Done;
            }
        }
        self.take_back(call, with, refused, until).await
    }

    /// The wish was not followed, or refused.
    async fn take_back(&self, call: &Call<'_>, with: &With, refused: Option<String>, until: Instant) -> Applied {
        let (resource, to) = (&with.resource, &with.to);
        let why = refused.unwrap_or_else(|| {
            format!(
                "it has not done so in time; `crm_mon -1 --failcounts` and `crm_resource --resource {resource} --why --node {to}` tell why"
            )
        });
        let left = || until.saturating_duration_since(Instant::now()).max(LOOKS);
        let clear = with.tool(&["--clear", "--node", to]);
        let cleared = self
            .0
            .run(
                &Call {
                    timeout: left(),
                    ..*call
                },
                &clear,
                "",
            )
            .await
            .good();
        let now = self.cluster(with, left()).await;
        match (cleared, now) {
            (_, Ok(now)) if now.runs_on(to) => Applied::Done,
            (Ok(_), Ok(now)) if !now.runs_nowhere() => Applied::NoEffect(format!(
                "Pacemaker was asked to move {resource} to {to}: {why}. It runs at {} still, and the wish is taken back",
                now.places()
            )),
            (Ok(_), Ok(_)) => Applied::Unknown(format!(
                "Pacemaker was asked to move {resource} to {to}: {why}. It runs nowhere at the moment; the wish is taken back"
            )),
            (Ok(_), Err(silent)) => Applied::Unknown(format!("{why}; the wish is taken back, but {silent}")),
            (Err(error), _) => Applied::Unknown(format!(
                "{why}; the wish may stand ({error}): take it back by `crm_resource --resource {resource} --clear --node {to}`"
            )),
        }
    }

    /// Takes the wish away, and sees the resource stay once the cluster has come to rest.
    async fn clear(&self, call: &Call<'_>, with: &With) -> Applied {
        let until = Instant::now() + call.timeout;
        let left = || until.saturating_duration_since(Instant::now()).max(LOOKS);
        let ended = self.0.run(call, &with.tool(&["--clear", "--node", &with.to]), "").await;
        match ended {
            Ended::Exited { code: 0, .. } => {}
            Ended::NotStarted(why) => return Applied::NoEffect(why),
            other => return Applied::Unknown(other.to_string()),
        }
        // What it waits for it also waits for in vain, where something else of the cluster never comes to rest.
        let rest = left() * 3 / 4;
        let wait = with.tool(&["--wait", &format!("--timeout={}", rest.as_secs().max(1))]);
        let _ = self.0.look(&wait, rest).await;
        match self.cluster(with, left()).await {
            Ok(now) if now.runs_on(&with.to) => Applied::Done,
            Ok(now) => Applied::NoEffect(format!(
                "{0} does not stay at {1}, it runs at {2}: give it a stickiness by `crm_resource --resource {0} --meta --set-parameter resource-stickiness \
                 --parameter-value 100`, and look for constraints that prefer {2}",
                with.resource,
                with.to,
                now.places()
            )),
            Err(why) => Applied::Unknown(why),
        }
    }

    async fn observed(&self, call: &Call<'_>, with: &With) -> Effect {
        let mut looks = Looks::new(Instant::now() + call.timeout, LOOKS);
        while let Some(left) = looks.next().await {
            let (Ok(now), Some(wished)) = (self.cluster(with, left).await, self.wished(with, left).await) else {
                return Effect::Unknown;
            };
            match with.verb {
                Verb::Clear if now.runs_on(&with.to) && !wished => return Effect::There,
                Verb::Move if now.runs_on(&with.to) => return Effect::There,
                // The cluster has still to follow, if it can.
                Verb::Move if wished || now.runs_nowhere() => {}
                _ => return Effect::NotThere,
            }
        }
        Effect::Unknown
    }
}

impl Executor for Pacemaker {
    fn name(&self) -> &'static str {
        "pacemaker"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            match With::checked(call.with) {
                Ok(with) if with.verb == Verb::Move => self.move_it(call, &with).await,
                Ok(with) => self.clear(call, &with).await,
                Err(error) => Applied::NoEffect(error),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match With::checked(call.with) {
                Ok(with) => self.observed(call, &with).await,
                Err(_) => Effect::Unknown,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.0.settle(call))
    }
}
