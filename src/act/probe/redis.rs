//! Redis: does it answer `ROLE`, in the role that is wanted? One that still loads its data, or has lost its disk, says so.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Probe, classify};
use crate::act::BoxFuture;
use crate::act::executor::parameters;
use crate::client::resp::{Connection, Failed, Login, Reply};
use crate::model::{Reach, Span};
use crate::net::Tls;

/// See the module.
pub struct Redis;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `host:port`, or `rediss://host:port` for TLS.
    address: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
    /// `any`, `primary` or `replica`.
    #[serde(default)]
    role: String,
}

fn of_reply(reply: Reply, role: &str) -> Reach {
    let detail = match reply {
        Reply::List(list) => match (list.first(), role) {
            (Some(Reply::Text(is)), "primary") if is != "master" => format!("it is a {is}"),
            (Some(Reply::Text(is)), "replica") if is != "slave" => format!("it is a {is}"),
            (Some(Reply::Text(_)), _) => return Reach::Good { took: Span::default() },
            _ => {
                return Reach::Odd {
                    detail: "an answer to another question".into(),
                };
            }
        },
        // It asks for a password, or for another one.
        Reply::Error(error) if error.starts_with("NOAUTH") || error.starts_with("NOPERM") => {
            return Reach::Odd { detail: error };
        }
        Reply::Error(error) => error,
        _ => {
            return Reach::Odd {
                detail: "an answer to another question".into(),
            };
        }
    };
    Reach::Failing { detail }
}

impl With {
    fn login(&self) -> Login<'_> {
        Login::of(&self.user, self.password_file.as_ref(), &self.tls)
    }
}

async fn answer(with: &With, limit: Duration) -> Reach {
    let mut connection = match Connection::open(&with.address, &with.login(), limit).await {
        Ok(connection) => connection,
        Err(Failed::NoConnection(error) | Failed::Lost(error)) => {
            return match error.kind() {
                // A certificate that we do not trust says more of our settings than of the server.
                io::ErrorKind::PermissionDenied | io::ErrorKind::Other | io::ErrorKind::InvalidData => Reach::Odd {
                    detail: error.to_string(),
                },
                _ => classify(&error),
            };
        }
    };
    match connection.command(&["ROLE"]).await {
        Ok(reply) => of_reply(reply, &with.role),
        Err(Failed::NoConnection(error) | Failed::Lost(error)) => match error.kind() {
            io::ErrorKind::TimedOut => Reach::NoAnswer,
            io::ErrorKind::InvalidData => Reach::Odd {
                detail: error.to_string(),
            },
            _ => classify(&error),
        },
    }
}

impl Probe for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        if !["", "any", "primary", "replica"].contains(&with.role.as_str()) {
            return Err(format!("role '{}' is not any, primary or replica", with.role));
        }
        with.login().check(&with.address)
    }

    fn ask<'a>(&'a self, with: &'a Map<String, Value>, limit: Duration) -> BoxFuture<'a, Reach> {
        Box::pin(async move {
            match parameters::<With>(with) {
                Ok(with) => answer(&with, limit).await,
                Err(detail) => Reach::Odd { detail },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_and_an_error_are_judged() {
        let role = |is: &str| Reply::List(vec![Reply::Text(is.into())]);
        assert!(of_reply(role("slave"), "").is_good() && of_reply(role("master"), "primary").is_good());
        assert!(matches!(of_reply(role("slave"), "primary"), Reach::Failing { .. }));
        assert!(matches!(
            of_reply(Reply::Error("LOADING x".into()), ""),
            Reach::Failing { .. }
        ));
        assert!(matches!(
            of_reply(Reply::Error("NOAUTH x".into()), ""),
            Reach::Odd { .. }
        ));
    }
}
