//! Redis: `promote`, `fence`, `release`, `caught_up`, `follow`, `prove`, by its own protocol.
//!
//! The token is kept in the data, as `jurymast:token`, and replicated with it. A fenced primary refuses writes (`min-replicas-to-write` that nobody can
//! meet), also after a restart where it has a config file to rewrite. Where a Sentinel is connected nothing is promoted: ask it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::replicated::{self, Unreachable};
use super::wait::Looks;
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::resp::{Address, Connection, Failed, Login, Reply, info};
use crate::model::Token;
use crate::model::plan::PlanKind;
use crate::net::Tls;

/// More replicas than anybody has.
const NOBODY: &str = "1000000";

/// Where the token is kept.
const KEY: &str = "jurymast:token";

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(50);

/// See the module.
pub struct Redis;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    /// `host:port`, or `rediss://host:port` for TLS.
    address: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
    /// `follow`, `caught_up`: the primary, as `address`.
    #[serde(default)]
    primary: String,
    /// `failover` or `failback`.
    #[serde(default = "replicated::broken")]
    kind: PlanKind,
    /// `fence`: what to think of a server that nobody can reach: `fail` or `ok`.
    #[serde(default)]
    unreachable: Unreachable,
    /// How many replicas a primary must have to take writes.
    #[serde(default)]
    min_replicas: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Promote,
    Fence,
    Release,
    CaughtUp,
    Follow,
    Prove,
}

/// Nothing was done, or nobody knows.
enum Trouble {
    NoEffect(String),
    Unknown(String),
    Unreachable(String),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NoConnection(error) => Self::Unreachable(error.to_string()),
            Failed::Lost(error) => Self::Unknown(error.to_string()),
        }
    }
}

type Tried<T> = Result<T, Trouble>;

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.login().check(&with.address)?;
        if matches!(with.verb, Verb::Follow | Verb::CaughtUp) {
            with.login().check(&with.primary)?;
        }
        Ok(with)
    }

    fn login(&self) -> Login<'_> {
        Login::of(&self.user, self.password_file.as_ref(), &self.tls)
    }

    async fn open(&self, address: &str, limit: Duration) -> Result<Server, Failed> {
        Ok(Server {
            connection: Connection::open(address, &self.login(), limit).await?,
        })
    }
}

struct Server {
    connection: Connection,
}

impl Server {
    /// A command that must be answered well.
    async fn must(&mut self, words: &[&str]) -> Tried<String> {
        match self.connection.command(words).await? {
            Reply::List(_) | Reply::Nil => Ok(String::new()),
            other => other.text().map_err(Trouble::NoEffect),
        }
    }

    async fn replication(&mut self) -> Tried<String> {
        self.must(&["INFO", "replication"]).await
    }

    /// Waits until what it says of its replication shows that.
    async fn comes_to(&mut self, limit: Duration, so: impl Fn(&str) -> bool) -> Tried<bool> {
        let mut looks = Looks::new(Instant::now() + limit, LOOKS);
        while looks.next().await.is_some() {
            if so(&self.replication().await?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses if a higher token is kept there.
    async fn compare(&mut self, ours: Token) -> Tried<()> {
        let Reply::Text(kept) = self.connection.command(&["GET", KEY]).await? else {
            return Ok(());
        };
        let token = kept.split_once('.').and_then(|(epoch, seq)| {
            Some(Token {
                epoch: epoch.parse().ok()?,
                seq: seq.parse().ok()?,
            })
        });
        match token {
            Some(token) if token > ours => Err(Trouble::NoEffect(format!(
                "it has been commanded with token {token}, ours is {ours}: another agent acts, or data_dir was lost (then: DEL {KEY})"
            ))),
            _ => Ok(()),
        }
    }

    /// What is set now holds after a restart as well, if there is a config file.
    async fn rewrite(&mut self) -> Tried<()> {
        if let Reply::Error(error) = self.connection.command(&["CONFIG", "REWRITE"]).await? {
            tracing::warn!(%error, "Redis does not keep its new settings over a restart");
        }
        Ok(())
    }

    async fn writes(&mut self, min_replicas: &str) -> Tried<()> {
        self.must(&["CONFIG", "SET", "min-replicas-to-write", min_replicas])
            .await?;
        self.rewrite().await
    }
}

fn role(info_text: &str) -> &str {
    info(info_text, "role").unwrap_or_default()
}

fn offset(text: &str) -> Option<u64> {
    let name = if role(text) == "master" {
        "master_repl_offset"
    } else {
        "slave_repl_offset"
    };
    info(text, name)?.parse().ok()
}

fn follows(text: &str, primary: &str) -> bool {
    let of = format!(
        "{}:{}",
        info(text, "master_host").unwrap_or_default(),
        info(text, "master_port").unwrap_or_default()
    );
    let primary = Address::parse(primary).map_or(primary, |address| address.place);
    role(text) == "slave" && of == primary && info(text, "master_link_status") == Some("up")
}

async fn promote(with: &With, call: &Call<'_>) -> Tried<()> {
    let mut server = with.open(&with.address, call.timeout).await?;
    let clients = server.must(&["CLIENT", "LIST"]).await?;
    if clients.contains(" name=sentinel-") {
        return Err(Trouble::NoEffect(
            "a Sentinel watches it: use the playbook redis-sentinel, which asks it to switch".into(),
        ));
    }
    server.compare(call.token).await?;
    server.must(&["REPLICAOF", "NO", "ONE"]).await?;
    let after = async {
        server.writes(&with.min_replicas.to_string()).await?;
        server.must(&["SET", KEY, &call.token.to_string()]).await
    };
    // Promoted it is from the first command on.
    after.await.map(|_| ()).map_err(|trouble| match trouble {
        Trouble::NoEffect(why) | Trouble::Unreachable(why) | Trouble::Unknown(why) => Trouble::Unknown(why),
    })
}

async fn fence(with: &With, call: &Call<'_>) -> Tried<()> {
    let mut server = with.open(&with.address, call.timeout).await?;
    server.compare(call.token).await?;
    if role(&server.replication().await?) == "slave" {
        return Ok(());
    }
    server.writes(NOBODY).await?;
    server
        .must(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
        .await?;
    Ok(())
}

async fn is_fenced(with: &With, call: &Call<'_>) -> Tried<bool> {
    let mut server = with.open(&with.address, call.timeout).await?;
    if role(&server.replication().await?) == "slave" {
        return Ok(true);
    }
    let set = server
        .connection
        .command(&["CONFIG", "GET", "min-replicas-to-write"])
        .await?;
    Ok(matches!(set, Reply::List(list) if list.get(1) == Some(&Reply::Text(NOBODY.into()))))
}

async fn release(with: &With, call: &Call<'_>) -> Tried<()> {
    let mut server = with.open(&with.address, call.timeout).await?;
    server.compare(call.token).await?;
    server.writes(&with.min_replicas.to_string()).await
}

async fn caught_up(with: &With, call: &Call<'_>) -> Tried<bool> {
    let mut old = with.open(&with.primary, call.timeout).await?;
    // Writes are refused already: what it has now is all that it will ever have.
    let all = offset(&old.replication().await?);
    let mut new = with.open(&with.address, call.timeout).await?;
    let seen = |text: &str| all.is_some() && offset(text) >= all;
    new.comes_to(call.timeout, seen).await
}

async fn follow(with: &With, call: &Call<'_>) -> Tried<bool> {
    let primary = Address::parse(&with.primary).map_err(Trouble::NoEffect)?;
    let mut server = with.open(&with.address, call.timeout).await?;
    server.compare(call.token).await?;
    let port = primary.port.to_string();
    server.must(&["REPLICAOF", primary.host, &port]).await?;
    server.writes(&with.min_replicas.to_string()).await?;
    let seen = |text: &str| follows(text, &with.primary);
    server.comes_to(call.timeout, seen).await
}

async fn prove(with: &With, call: &Call<'_>) -> Tried<()> {
    let mut server = with.open(&with.address, call.timeout).await?;
    server.compare(call.token).await?;
    server.must(&["SET", KEY, &call.token.to_string()]).await.map(|_| ())
}

fn judged(tried: Tried<bool>, why: &str) -> Applied {
    match tried {
        Ok(true) => Applied::Done,
        Ok(false) => Applied::Unknown(why.to_owned()),
        Err(Trouble::NoEffect(why) | Trouble::Unreachable(why)) => Applied::NoEffect(why),
        Err(Trouble::Unknown(why)) => Applied::Unknown(why),
    }
}

impl Executor for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Compared
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with = match With::checked(call.with) {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            let done = |tried: Tried<()>| judged(tried.map(|()| true), "");
            match with.verb {
                Verb::Promote => done(promote(&with, call).await),
                Verb::Release => done(release(&with, call).await),
                Verb::Prove => done(prove(&with, call).await),
                Verb::Follow => judged(follow(&with, call).await, "it does not hear the new primary"),
                Verb::Fence => match fence(&with, call).await {
                    Err(Trouble::Unreachable(why)) => with.unreachable.applied(call, why, Applied::NoEffect),
                    other => done(other),
                },
                Verb::CaughtUp if !replicated::waits_for_the_last(with.kind) => Applied::Done,
                Verb::CaughtUp => match caught_up(&with, call).await {
                    Ok(false) => replicated::lacks(),
                    other => judged(other, ""),
                },
            }
        })
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match With::checked(call.with) {
                Ok(with) if matches!(with.verb, Verb::Promote | Verb::Fence) => {
                    role_stands(&with, call).await.map_or(Effect::Unknown, Effect::of)
                }
                _ => Effect::Unknown,
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return Effect::Unknown;
            };
            let seen = match with.verb {
                Verb::Prove => return Effect::NotThere,
                Verb::CaughtUp => caught_up(&with, call).await,
                Verb::Fence => is_fenced(&with, call).await,
                Verb::Release => is_fenced(&with, call).await.map(|fenced| !fenced),
                Verb::Promote | Verb::Follow => {
                    async {
                        let mut server = with.open(&with.address, call.timeout).await?;
                        let text = server.replication().await?;
                        Ok(match with.verb {
                            Verb::Promote => role(&text) == "master",
                            _ => follows(&text, &with.primary),
                        })
                    }
                    .await
                }
            };
            match seen {
                Ok(true) => Effect::There,
                Ok(false) => Effect::NotThere,
                Err(Trouble::Unreachable(_)) if with.verb == Verb::Fence => with.unreachable.seen(),
                Err(_) => Effect::Unknown,
            }
        })
    }
}

/// The role alone; a server that nobody reaches tells nothing.
async fn role_stands(with: &With, call: &Call<'_>) -> Tried<bool> {
    match with.verb {
        Verb::Fence => is_fenced(with, call).await,
        _ => {
            let mut server = with.open(&with.address, call.timeout).await?;
            Ok(role(&server.replication().await?) == "master")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_replication_is_read() {
        let text = "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:7000\r\nmaster_link_status:up\r\nslave_repl_offset:42\r\n";
        assert_eq!(offset(text), Some(42));
        assert!(follows(text, "127.0.0.1:7000") && !follows(text, "127.0.0.1:7001"));
        assert!(!follows(&text.replace(":up", ":down"), "127.0.0.1:7000"));
        assert_eq!(offset("role:master\r\nmaster_repl_offset:7\r\n"), Some(7));
    }

    #[test]
    fn an_address_has_a_port() {
        let with = serde_json::json!({"do": "follow", "address": "a:1", "primary": "b"});
        assert!(
            Redis
                .check(with.as_object().unwrap())
                .unwrap_err()
                .contains("host:port")
        );
    }
}
