//! Sentinel: where it owns a Redis it is asked to switch, and never gone round.
//!
//! `SENTINEL FAILOVER` takes no target: Sentinel chooses by priority and offset. If it has chosen another one than the plan, the plan goes on with that one.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::wait::Looks;
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::resp::{Address, Connection, Login, Reply};
use crate::net::Tls;

/// Between two looks at a failover under way.
const LOOKS: Duration = Duration::from_millis(50);

/// See the module.
pub struct Sentinel;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `host:port`, or `rediss://host:port` for TLS; several with commas between them: the first that answers is asked.
    sentinels: String,
    /// The name of the master set.
    master: String,
    /// The address of the new primary, as Sentinel knows it.
    to: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
}

impl With {
    fn login(&self) -> Login<'_> {
        Login::of(&self.user, self.password_file.as_ref(), &self.tls)
    }

    /// Sentinel knows servers by host and port alone.
    fn to(&self) -> &str {
        Address::parse(&self.to).map_or(&self.to, |address| address.place)
    }

    async fn connect(&self, limit: Duration) -> Result<Connection, String> {
        let login = self.login();
        let addresses: Vec<&str> = self.sentinels.split(',').map(str::trim).collect();
        // A dead one must not take the time of those behind it.
        let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut why = String::new();
        for address in addresses {
            match Connection::open(address, &login, share).await {
                // It was for finding out who answers: this one is given all the time.
                Ok(_) => {
                    return Connection::open(address, &login, limit)
                        .await
                        .map_err(|e| e.to_string());
                }
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        Err(format!("no Sentinel answers; {why}"))
    }
}

/// Where the primary is now, and whether a failover is under way.
async fn state(connection: &mut Connection, master: &str) -> Result<(String, bool), String> {
    let reply = connection.command(&["SENTINEL", "MASTER", master]).await;
    let list = match reply.map_err(|e| e.to_string())? {
        Reply::List(list) => list,
        other => return Err(other.text().err().unwrap_or_default()),
    };
    let mut fields = list.into_iter().map(|field| field.text().unwrap_or_default());
    let (mut ip, mut port, mut flags) = (String::new(), String::new(), String::new());
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match name.as_str() {
            "ip" => ip = value,
            "port" => port = value,
            "flags" => flags = value,
            _ => {}
        }
    }
    Ok((format!("{ip}:{port}"), flags.contains("failover_in_progress")))
}

/// What it said, and what to do.
fn refusal(error: &str) -> String {
    let hint = if error.starts_with("NOGOODSLAVE") {
        ": no replica has answered it lately, with its link to the primary up and a `replica-priority` above 0; `SENTINEL REPLICAS` tells"
    } else {
        ""
    };
    format!("Sentinel says: {error}{hint}")
}

async fn failover(with: &With, call: &Call<'_>) -> Applied {
    let until = Instant::now() + call.timeout;
    let begin = async {
        let mut connection = with.connect(call.timeout).await?;
        let (at, under_way) = state(&mut connection, &with.master).await?;
        Ok::<_, String>((connection, at, under_way))
    };
    let (mut connection, at, under_way) = match begin.await {
        Ok(begun) => begun,
        Err(why) => return Applied::NoEffect(why),
    };
    if at == with.to() {
        return Applied::Done;
    }
    if !under_way {
        match connection.command(&["SENTINEL", "FAILOVER", &with.master]).await {
            // Another one has begun since it was looked at.
            Ok(Reply::Error(error)) if error.starts_with("INPROG") => {}
            Ok(Reply::Error(error)) => return Applied::NoEffect(refusal(&error)),
            Ok(_) => {}
            Err(error) => return Applied::Unknown(error.to_string()),
        }
    }
    let mut looks = Looks::new(until, LOOKS);
    while looks.next().await.is_some() {
        match state(&mut connection, &with.master).await {
            Ok((now, _)) if now == with.to() => return Applied::Done,
            Ok((now, false)) if now != at => {
                return Applied::Unknown(format!("Sentinel has chosen {now}, not {}", with.to));
            }
            // It is under way from the moment at which it is asked for, until it is over or given up.
            Ok((now, false)) => {
                return Applied::NoEffect(format!(
                    "Sentinel has given its failover up, {now} is the primary still: its log says at which step (`-failover-abort-…`)"
                ));
            }
            Ok(_) => {}
            Err(why) => return Applied::Unknown(why),
        }
    }
    Applied::Unknown("Sentinel has not switched in time".into())
}

impl Executor for Sentinel {
    fn name(&self) -> &'static str {
        "sentinel"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        Address::parse(&with.to)?;
        let mut sentinels = with.sentinels.split(',').map(str::trim);
        sentinels.try_for_each(|address| with.login().check(address))?;
        if with.master.is_empty() {
            return Err("master is empty: the name of the master set".into());
        }
        Ok(())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            match call.parameters::<With>() {
                Ok(with) => failover(&with, call).await,
                Err(error) => Applied::NoEffect(error),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = call.parameters::<With>() else {
                return Effect::Unknown;
            };
            let until = Instant::now() + call.timeout;
            let Ok(mut connection) = with.connect(call.timeout).await else {
                return Effect::Unknown;
            };
            let mut looks = Looks::new(until, LOOKS);
            while looks.next().await.is_some() {
                match state(&mut connection, &with.master).await {
                    Ok((at, _)) if at == with.to() => return Effect::There,
                    Ok((_, false)) => return Effect::NotThere,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            Effect::Unknown
        })
    }
}
