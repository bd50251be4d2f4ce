//! `PostgreSQL`: `promote`, `fence`, `release`, `caught_up`, `follow`, `set`, `prove`. By `psql` at its connection string, and by `pg_ctl` and
//! `pg_rewind` in its data folder, here or by ssh.
//!
//! The token is kept in each server's own `postgresql.auto.conf` as `jurymast.token`, which standbys can write as well and which outlives restarts. A
//! promotion compares and sets it in one session that holds an advisory lock: a stale one is refused by the server that it is meant for. The natural guard
//! stands behind it: a new timeline, which an old primary cannot follow without `pg_rewind`.
//!
//! A fenced server has `standby.signal` in its data folder before it is stopped: whoever starts it, it never takes writes again until it is promoted. `follow` keeps
//! it so: it is started as a standby first and rewound only if it does not stream. Where Patroni, repmgr or `pg_auto_failover` is connected, nothing is
//! promoted: ask them.

mod fence;
mod follow;
mod host;
mod sql;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::replicated::{self, Unreachable};
use super::tool::{Place, Tools};
use super::wait::Looks;
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::psql;
use crate::model::plan::PlanKind;
use host::Host;

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(100);

/// See the module.
pub struct Postgres {
    tools: Tools,
}

/// Parameters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    /// Whom it is about, for `psql`.
    dsn: String,
    /// Its data folder; without it nobody can stop it.
    #[serde(default)]
    data_dir: String,
    /// Where `pg_ctl` is; on the path if empty.
    #[serde(default)]
    bin_dir: String,
    /// Where the data folder is.
    #[serde(default)]
    at: Place,
    /// It is started by `systemctl start UNIT`; by `pg_ctl` if empty.
    #[serde(default)]
    unit: String,
    /// Options for the server, where `pg_ctl` starts it.
    #[serde(default)]
    options: String,
    /// `failover` or `failback`: a planned move stops the old primary cleanly and loses nothing.
    #[serde(default = "replicated::broken")]
    kind: PlanKind,
    /// `fence`: what to think of a host or server that cannot be reached.
    #[serde(default)]
    unreachable: Unreachable,
    /// `promote`: no synchronous standby is waited for any more, because the only one is dead.
    #[serde(default)]
    alone: bool,
    /// `follow`: whom.
    #[serde(default)]
    primary: String,
    /// `follow`: the name by which the primary knows this standby. `set`: only once that standby streams.
    #[serde(default)]
    name: String,
    /// `follow`: where rewinding fails the data folder is put aside and copied anew.
    #[serde(default)]
    rebuild: bool,
    /// `set`: which setting.
    #[serde(default)]
    setting: String,
    /// `set`: to what.
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    /// Makes a standby the primary.
    Promote,
    /// Takes its power to write, durably.
    Fence,
    /// Takes a fence back.
    Release,
    /// `dsn` has everything that the stopped server of `data_dir` ever wrote. Only a planned move waits for that.
    CaughtUp,
    /// Makes a fenced server a standby of `primary`.
    Follow,
    /// Changes a setting for good.
    Set,
    /// Writes something and waits until it is committed.
    Prove,
}

impl With {
    fn planned(&self) -> bool {
        replicated::waits_for_the_last(self.kind)
    }

    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        psql::check(&with.dsn)?;
        with.at.check()?;
        let needs = |value: &str, name: &str| {
            if value.is_empty() {
                Err(format!("{:?} needs {name}", with.verb).to_lowercase())
            } else {
                Ok(())
            }
        };
        match with.verb {
            Verb::Release | Verb::CaughtUp => needs(&with.data_dir, "data_dir")?,
            Verb::Follow => {
                needs(&with.data_dir, "data_dir")?;
                needs(&with.name, "name")?;
                psql::check(&with.primary)?;
            }
            Verb::Set => needs(&with.setting, "setting")?,
            Verb::Promote | Verb::Fence | Verb::Prove => {}
        }
        Ok(with)
    }
}

impl Postgres {
    /// With the stdin of running programs in the folder of these tools.
    pub const fn new(tools: Tools) -> Self {
        Self { tools }
    }

    async fn apply_once(&self, call: &Call<'_>) -> Applied {
        let with = match With::checked(call.with) {
            Ok(with) => with,
            Err(error) => return Applied::NoEffect(error),
        };
        let host = Host::new(&self.tools, call, &with);
        match with.verb {
            Verb::Promote => sql::promote(&self.tools, call, &with).await,
            Verb::Set => sql::set(&self.tools, call, &with).await,
            Verb::Prove => sql::prove(&self.tools, call, &with).await,
            Verb::Fence => host.fence().await,
            Verb::Release => host.release().await,
            Verb::CaughtUp => host.caught_up().await,
            Verb::Follow => host.follow().await,
        }
    }

    async fn look(&self, call: &Call<'_>) -> Effect {
        let Ok(with) = With::checked(call.with) else {
            return Effect::Unknown;
        };
        let host = Host::new(&self.tools, call, &with);
        match with.verb {
            Verb::Promote => self.promoted(call, &with).await,
            Verb::Set => sql::is_set(call, &with).await,
            // Nothing is left behind that could be looked at: it is done again.
            Verb::Prove => Effect::NotThere,
            Verb::Fence => host.is_fenced().await,
            Verb::Release => host.is_released().await,
            Verb::CaughtUp => host.has_caught_up().await,
            Verb::Follow => host.follows().await,
        }
    }

    /// A server that still recovers, but has our token, was told to promote and may be about to.
    async fn promoted(&self, call: &Call<'_>, with: &With) -> Effect {
        let mut looks = Looks::new(Instant::now() + call.timeout, LOOKS);
        while let Some(left) = looks.next().await {
            match sql::state(&with.dsn, left).await {
                Ok(state) if !state.standby => return Effect::There,
                Ok(state) if state.token != Some(call.token) => return Effect::NotThere,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Effect::Unknown
    }
}

impl Executor for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Server
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(self.apply_once(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(self.look(call))
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return Effect::Unknown;
            };
            // Its role alone, by one connection: nothing is asked on its host.
            match (with.verb, sql::state(&with.dsn, call.timeout).await) {
                (Verb::Promote, Ok(state)) => Effect::of(!state.standby),
                (Verb::Fence, Ok(state)) => Effect::of(state.standby),
                _ => Effect::Unknown,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.tools.settle(call))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(with: &Value) -> Result<(), String> {
        Postgres::new(Tools::default()).check(with.as_object().unwrap())
    }

    #[test]
    fn parameters_that_cannot_be_followed_are_found_before_anything_is_done() {
        assert_eq!(check(&json!({"do": "promote", "dsn": "host=a"})), Ok(()));
        for (with, word) in [
            (json!({"do": "promote", "dsn": "host=a password=x"}), "password"),
            (json!({"do": "release", "dsn": "host=a"}), "data_dir"),
            (
                json!({"do": "follow", "dsn": "host=a", "data_dir": "/d", "name": "a"}),
                "dsn is empty",
            ),
            (json!({"do": "set", "dsn": "host=a"}), "setting"),
            (json!({"do": "fence", "dsn": "host=a", "kind": "x"}), "failback"),
            (json!({"do": "drop", "dsn": "host=a"}), "unknown variant"),
            (
                json!({"do": "fence", "dsn": "host=a", "at": {"ssh": "-oProxyCommand=x"}}),
                "no host",
            ),
        ] {
            let error = check(&with).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
