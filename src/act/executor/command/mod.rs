//! Executors that are one command of a tool and one look by the same tool: each file says which, this one runs them.
//!
//! A tool's exit code is never taken for the effect: after it the look is asked until it shows the effect or the step's time is over.

mod compare;
mod dns;
mod docker;
mod hdfs;
mod mongodb;
mod ssh;
mod systemd;

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::tool::{Place, Tools};
use super::wait::Looks;
use super::{Call, Executor, TokenClass};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, argv};

pub(super) use compare::Compare;
pub(super) use dns::Dns;

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(100);

/// What a look's exit code and output mean.
type Judge = Box<dyn Fn(i32, &str) -> Effect + Send + Sync>;

/// What a step means in commands.
struct Orders {
    place: Place,
    /// Another fence of the same playbook keeps clients away from a host that nobody can reach.
    fenced_otherwise: bool,
    /// Ends well only where Pacemaker runs the same thing, and then nothing is done; nobody asks if it is empty.
    claim: Vec<String>,
    /// In order; each must end well.
    apply: Vec<Vec<String>>,
    /// What they read.
    stdin: String,
    /// Nothing tells if it is empty.
    look: Vec<String>,
    judge: Judge,
}

/// A tool.
trait Tool: Send + Sync {
    fn name(&self) -> &'static str;
    fn orders(&self, with: &Map<String, Value>, call: Option<&Call<'_>>) -> Result<Orders, String>;
    fn token_class(&self) -> TokenClass {
        TokenClass::Nowhere
    }
    /// Its look tells the same long after.
    fn lasts(&self) -> bool {
        false
    }
}

struct Ordered<T> {
    tool: T,
    tools: Tools,
}

/// All executors of this sort.
pub(super) fn all(tools: &Tools) -> Vec<Box<dyn Executor>> {
    fn one(tool: impl Tool + 'static, tools: &Tools) -> Box<dyn Executor> {
        Box::new(Ordered {
            tool,
            tools: tools.clone(),
        })
    }
    vec![
        one(systemd::Systemd, tools),
        one(ssh::Ssh, tools),
        one(docker::Docker, tools),
        one(hdfs::Hdfs, tools),
        one(mongodb::Mongodb, tools),
    ]
}

/// The program's name, or another one that stands for it.
fn program(given: &str, usual: &str) -> String {
    if given.is_empty() {
        usual.to_owned()
    } else {
        given.to_owned()
    }
}

/// Asks the cluster of that host for resources that an `XPath` finds.
fn claim(xpath: &str) -> Vec<String> {
    argv(["cibadmin", "--query", "--xpath", xpath])
}

/// A look that answers with one word.
fn says(wanted: impl Into<String>) -> Judge {
    let wanted = wanted.into();
    Box::new(move |code, out| match (code, out.trim()) {
        (_, said) if said == wanted => Effect::There,
        (0, _) => Effect::NotThere,
        _ => Effect::Unknown,
    })
}

impl<T: Tool> Ordered<T> {
    async fn seen(&self, orders: &Orders, limit: Duration) -> Effect {
        if orders.look.is_empty() {
            return Effect::Unknown;
        }
        let ended = self.tools.look(&orders.place.command(&orders.look), limit).await;
        match ended {
            ended if orders.place.is_lost(&ended) && orders.fenced_otherwise => Effect::There,
            ended if orders.place.is_lost(&ended) => Effect::Unknown,
            Ended::Exited { code, out, .. } => (orders.judge)(code, &out),
            _ => Effect::Unknown,
        }
    }

    /// A cluster that cannot be asked runs nothing there: that is for its other nodes to say.
    async fn is_claimed(&self, orders: &Orders, limit: Duration) -> bool {
        if orders.claim.is_empty() {
            return false;
        }
        let ended = self.tools.look(&orders.place.command(&orders.claim), limit).await;
        matches!(ended, Ended::Exited { code: 0, .. })
    }

    async fn carry_out(&self, call: &Call<'_>, orders: &Orders) -> Applied {
        let until = Instant::now() + call.timeout;
        if self.is_claimed(orders, call.timeout).await {
            return Applied::NoEffect(format!(
                "Pacemaker manages it ({}): use the playbook pacemaker-move, which asks Pacemaker",
                orders.claim.join(" ")
            ));
        }
        let mut begun = false;
        for command in &orders.apply {
            let left = until.saturating_duration_since(Instant::now()).max(LOOKS);
            let call = Call { timeout: left, ..*call };
            let ended = self
                .tools
                .run(&call, &orders.place.command(command), &orders.stdin)
                .await;
            if orders.fenced_otherwise && orders.place.is_lost(&ended) {
                tracing::warn!(plan = %call.plan, "cannot be reached; the other fence of this playbook keeps clients away");
                return Applied::Done;
            }
            match ended {
                Ended::Exited { code: 0, .. } => begun = true,
                Ended::NotStarted(why) if !begun => return Applied::NoEffect(why),
                other => return Applied::Unknown(other.to_string()),
            }
        }
        if orders.look.is_empty() {
            return Applied::Done;
        }
        let mut looks = Looks::new(until, LOOKS);
        while let Some(left) = looks.next().await {
            if self.seen(orders, left).await == Effect::There {
                return Applied::Done;
            }
        }
        Applied::Unknown(format!("{} ended well, but its effect is not seen", self.tool.name()))
    }
}

impl<T: Tool> Executor for Ordered<T> {
    fn name(&self) -> &'static str {
        self.tool.name()
    }

    fn programs(&self, with: &Map<String, Value>) -> Vec<String> {
        let Ok(orders) = self.tool.orders(with, None) else {
            return Vec::new();
        };
        let commands = orders.apply.iter().chain([&orders.look]);
        let first = commands.filter_map(|command| command.first());
        first.flat_map(|program| orders.place.begins(program)).collect()
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        self.tool.orders(with, None).and_then(|orders| orders.place.check())
    }

    fn token_class(&self) -> TokenClass {
        self.tool.token_class()
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            match self.tool.orders(call.with, Some(call)) {
                Ok(orders) => self.carry_out(call, &orders).await,
                Err(error) => Applied::NoEffect(error),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match self.tool.orders(call.with, Some(call)) {
                Ok(orders) => self.seen(&orders, call.timeout).await,
                Err(_) => Effect::Unknown,
            }
        })
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match self.tool.orders(call.with, Some(call)) {
                // No host is logged in to every few seconds.
                Ok(orders) if self.tool.lasts() && orders.place.ssh.is_empty() => {
                    self.seen(&orders, call.timeout).await
                }
                _ => Effect::Unknown,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.tools.settle(call))
    }
}
