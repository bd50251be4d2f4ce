//! keepalived: asked to give an address up, or to take it, by the weight in a file that it tracks (`track_file`); it elects by itself. What counts is who has the
//! address then, not that the file is written: keepalived may not run there, or not track it.
//!
//! The weight that gives up is -253: it makes a router the last in every election and leaves it there, so that the address stays where nobody else can take it. With
//! -254 it would be out, and with two that were asked in turn nobody would hold the address.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::replicated::Unreachable;
use super::tool::{Place, Tools};
use super::wait::Looks;
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, argv};

/// Between two looks at an election.
const LOOKS: Duration = Duration::from_millis(100);

/// Added to any priority it gives the least one that there is.
const LAST: i16 = -253;

/// See the module.
pub struct Keepalived(Tools);

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    /// The file of a `track_file`.
    file: String,
    /// The address that it holds or does not hold then.
    address: String,
    /// What is to stand in the file: -253 for `give_up`, else 0, if left out.
    #[serde(default)]
    weight: Option<i16>,
    #[serde(default)]
    at: Place,
    /// `give_up`: what to think of a host that cannot be reached: `fail` or `ok`, where the others elect without it.
    #[serde(default)]
    unreachable: Unreachable,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    /// Makes it one that may be elected, whoever holds the address.
    Ready,
    /// The address leaves.
    GiveUp,
    /// The address comes.
    Take,
}

/// What can be seen at a host.
enum Seen {
    /// Whether the file says the weight, and the host has the address.
    At { says: bool, holds: bool },
    /// The connection to it is lost, or does not come about.
    Unreachable(String),
    /// The look failed.
    Unclear(String),
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.at.check()?;
        if !with.file.starts_with('/') {
            return Err(format!("file '{}' is not a whole path", with.file));
        }
        if with.address.parse::<IpAddr>().is_err() {
            return Err(format!(
                "address '{}' is no IP address; write it without a port and a mask",
                with.address
            ));
        }
        if !(-254..=254).contains(&with.weight()) {
            return Err(format!("weight {} must lie between -254 and 254", with.weight()));
        }
        Ok(with)
    }

    fn weight(&self) -> i16 {
        self.weight.unwrap_or(if self.verb == Verb::GiveUp { LAST } else { 0 })
    }
}

impl Keepalived {
    pub const fn new(tools: Tools) -> Self {
        Self(tools)
    }

    async fn look(&self, with: &With, command: &[&str], limit: Duration) -> Ended {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        self.0.look(&with.at.command(&command), limit).await
    }

    async fn see(&self, with: &With, limit: Duration) -> Seen {
        let file = self.look(with, &["cat", &with.file], limit).await;
        if with.at.is_lost(&file) {
            return Seen::Unreachable(file.to_string());
        }
        let held = self
            .look(with, &["ip", "-o", "addr", "show", "to", &with.address], limit)
            .await;
        match held.good() {
            Ok(held) => Seen::At {
                says: file.good().is_ok_and(|said| said.trim() == with.weight().to_string()),
                holds: !held.trim().is_empty(),
            },
            Err(why) => Seen::Unclear(why),
        }
    }

    /// One look: has it happened?
    async fn stands(&self, with: &With, limit: Duration) -> (Effect, Seen) {
        let seen = self.see(with, limit).await;
        let effect = match (&seen, with.verb) {
            (Seen::At { says: true, .. }, Verb::Ready)
            | (
                Seen::At {
                    says: true,
                    holds: false,
                },
                Verb::GiveUp,
            )
            | (
                Seen::At {
                    says: true,
                    holds: true,
                },
                Verb::Take,
            ) => Effect::There,
            (Seen::At { .. }, _) => Effect::NotThere,
            (Seen::Unreachable(_), Verb::GiveUp) if with.unreachable == Unreachable::Ok => Effect::There,
            (Seen::Unreachable(_) | Seen::Unclear(_), _) => Effect::Unknown,
        };
        (effect, seen)
    }

    async fn apply_to(&self, call: &Call<'_>, with: &With) -> Applied {
        let until = Instant::now() + call.timeout;
        let left = || until.saturating_duration_since(Instant::now()).max(LOOKS);
        let runs = self.look(with, &["pidof", "keepalived"], left()).await;
        if with.at.is_lost(&runs) {
            if with.verb == Verb::GiveUp && with.unreachable == Unreachable::Ok {
                tracing::warn!(plan = %call.plan, "{} cannot be reached; keepalived elects without it", with.at.host());
                return Applied::Done;
            }
            return Applied::NoEffect(runs.to_string());
        }
        // Who is to give up may as well be dead, if only the address is gone.
        if matches!(runs, Ended::Exited { code: 1, .. }) && with.verb != Verb::GiveUp {
            return Applied::NoEffect(format!(
                "no keepalived runs at {}: nobody there would take {}; start it",
                with.at.host(),
                with.address
            ));
        }
        let tee = with.at.command(&argv(["tee", &with.file]));
        match self.0.run(call, &tee, &format!("{}\n", with.weight())).await {
            Ended::Exited { code: 0, .. } => {}
            ended if with.at.is_lost(&ended) => return Applied::Unknown(ended.to_string()),
            Ended::Killed(why) => return Applied::Unknown(why),
            ended => return Applied::NoEffect(ended.to_string()),
        }
        let mut looks = Looks::new(until, LOOKS);
        let mut last = None;
        while let Some(left) = looks.next().await {
            match self.stands(with, left).await {
                (Effect::There, _) => return Applied::Done,
                // What was seen tells more than a look that was cut short at the end.
                (_, seen) if matches!(seen, Seen::At { .. }) || last.is_none() => last = Some(seen),
                _ => {}
            }
        }
        let (address, place, file) = (&with.address, with.at.host(), &with.file);
        match last {
            Some(Seen::Unreachable(why) | Seen::Unclear(why)) => Applied::Unknown(why),
            _ if with.verb == Verb::Take => Applied::NoEffect(format!(
                "{address} does not come to {place}: its keepalived says in its log why; does it track {file}, and is its priority the highest now?"
            )),
            _ if with.verb == Verb::GiveUp => Applied::Unknown(format!(
                "{address} does not leave {place}: does keepalived run there and track {file}, and may another one take over (no `nopreempt`)?"
            )),
            _ => Applied::Unknown(format!("{file} at {place} does not say {}", with.weight())),
        }
    }

    async fn observed(&self, call: &Call<'_>, with: &With) -> Effect {
        let mut looks = Looks::new(Instant::now() + call.timeout, LOOKS);
        while let Some(left) = looks.next().await {
            match self.stands(with, left).await {
                // It has been asked, and the election may be under way.
                (Effect::NotThere, Seen::At { says: true, .. }) => {}
                (effect, _) => return effect,
            }
        }
        Effect::Unknown
    }
}

impl Executor for Keepalived {
    fn name(&self) -> &'static str {
        "keepalived"
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
                Ok(with) => self.apply_to(call, &with).await,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_followed_is_found_beforehand() {
        let checked = |with: Value| With::checked(with.as_object().unwrap()).map(|with| with.weight());
        let order = |file: &str, address: &str| json!({"do": "give_up", "file": file, "address": address});
        assert_eq!(checked(order("/run/weight", "10.0.0.1")), Ok(-253));
        assert_eq!(
            checked(json!({"do": "take", "file": "/w", "address": "fd00::1"})),
            Ok(0)
        );
        assert!(checked(order("weight", "10.0.0.1")).unwrap_err().contains("whole path"));
        assert!(
            checked(order("/w", "10.0.0.1/24"))
                .unwrap_err()
                .contains("no IP address")
        );
        let heavy = json!({"do": "take", "file": "/w", "address": "10.0.0.1", "weight": 255});
        assert!(checked(heavy).unwrap_err().contains("between"));
    }
}
