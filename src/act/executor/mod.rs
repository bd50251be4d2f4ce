//! Executors: each does one kind of effect, can look whether it has happened, and carries the token.
//!
//! A new one is one file and one line in [`Executors::new`].

mod api;
mod backup;
mod command;
mod exec;
pub mod haproxy;
mod http;
mod keepalived;
mod mariadb;
mod mqtt;
mod pacemaker;
mod postgres;
mod redis;
mod replicated;
mod sentinel;
mod ticket;
mod tool;
mod wait;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::BoxFuture;
use super::runner::{Applied, Effect};
use crate::client::backup::Kind;
use crate::model::{PlanId, Token};

/// Does one kind of effect.
pub trait Executor: Send + Sync {
    /// Its name in playbooks.
    fn name(&self) -> &'static str;

    /// Causes the effect. Called again with the same call after [`Applied::NoEffect`] only.
    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied>;

    /// Has the effect happened? Without an answer a step is never repeated.
    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect>;

    /// Whether what was done stands, long after and whoever has the token by then; asked again and again for as long as a service runs. `Unknown` where that
    /// cannot be told by one look that is a burden to nobody.
    fn stands<'a>(&'a self, _call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async { Effect::Unknown })
    }

    /// Whether whoever keeps the effect was started anew within that time, and has forgotten what it was told before: then nobody has changed it by hand.
    fn began_anew<'a>(&'a self, _call: &'a Call<'a>, _within: Duration) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }

    /// Waits until nothing is under way any more that an earlier run of this agent has started by the same call; `Err` if it
    /// still is. A look at the effect before that would tell what is about to change.
    fn settle<'a>(&'a self, _call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// Where a stale token is refused.
    fn token_class(&self) -> TokenClass;

    /// The programs that it begins on this machine.
    fn programs(&self, _with: &Map<String, Value>) -> Vec<String> {
        Vec::new()
    }

    /// What would stop it in the middle of a move and shows before: `Err` says what. Changes nothing.
    fn foresee<'a>(&'a self, _call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// Finds parameters that cannot be followed before anything is done.
    fn check(&self, with: &Map<String, Value>) -> Result<(), String>;
}

/// Where a command that comes too late is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenClass {
    /// The server compares it in one go with the change itself: even two agents at the very same moment are kept apart.
    Server,
    /// The target itself remembers the highest token, if it is built to.
    Target,
    /// We compare it with what the target keeps for us right before the command; two agents at the very same moment are
    /// kept apart by the journal alone.
    Compared,
    /// The manager that owns the service counts its own epochs, and asks nobody else's.
    Manager,
    /// Nowhere: only the journal and the fence stand before it. On a host of one's own `jurymast exec` refuses it there.
    Nowhere,
}

/// One call of an executor.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Its parameters.
    pub with: &'a Map<String, Value>,
    /// For which plan.
    pub plan: &'a PlanId,
    /// Who says so.
    pub token: Token,
    /// The same for each try of the same step.
    pub key: &'a str,
    /// How long it may take.
    pub timeout: Duration,
}

impl Call<'_> {
    /// The parameters in their typed form.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, String> {
        parameters(self.with)
    }
}

/// Parameters in their typed form; unknown ones are errors.
pub fn parameters<T: DeserializeOwned>(with: &Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(with.clone())).map_err(|error| error.to_string())
}

/// Reads an answer up to so many bytes; the rest is not waited for.
pub(super) async fn read_bounded(mut answer: reqwest::Response, max: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() <= max
        && let Some(chunk) = answer.chunk().await?
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(max);
    Ok(bytes)
}

/// All executors, by name.
#[derive(Clone)]
pub struct Executors {
    by_name: Arc<BTreeMap<&'static str, Box<dyn Executor>>>,
}

impl Default for Executors {
    fn default() -> Self {
        Self::new()
    }
}

impl Executors {
    /// All that there are, to find out whether they could follow a playbook.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// All that there are. What must outlast this process is kept in `dir`.
    pub fn in_dir(dir: &Path) -> Self {
        Self::with(Some(dir.join("exec")))
    }

    fn with(dir: Option<PathBuf>) -> Self {
        let tools = tool::Tools::new(ticket::Tickets::new(dir.clone()));
        let mut all: Vec<Box<dyn Executor>> = vec![
            Box::new(exec::Exec::new(dir)),
            Box::new(http::Http::new()),
            Box::new(mqtt::Mqtt),
            Box::new(haproxy::Haproxy),
            Box::new(postgres::Postgres::new(tools.clone())),
            Box::new(mariadb::Mariadb::new(tools.clone())),
            Box::new(backup::Backup::new(Kind::Restic, tools.clone())),
            Box::new(backup::Backup::new(Kind::Borg, tools.clone())),
            Box::new(command::Compare(tools.clone())),
            Box::new(command::Dns(tools.clone())),
            Box::new(redis::Redis),
            Box::new(keepalived::Keepalived::new(tools.clone())),
            Box::new(pacemaker::Pacemaker::new(tools.clone())),
            Box::new(sentinel::Sentinel),
        ];
        all.extend(command::all(&tools));
        all.extend(api::all());
        Self {
            by_name: Arc::new(all.into_iter().map(|executor| (executor.name(), executor)).collect()),
        }
    }

    /// The executor of that name.
    pub fn get(&self, name: &str) -> Result<&dyn Executor, String> {
        self.by_name.get(name).map(AsRef::as_ref).ok_or_else(|| {
            let known: Vec<&str> = self.by_name.keys().copied().collect();
            format!(
                "no executor is called '{name}'; there are {} and probe",
                known.join(", ")
            )
        })
    }
}
