//! `PostgreSQL`: does it answer a query, and in the role that is wanted?
//!
//! Wrong credentials are our own fault and never the server's: they are [`Reach::Odd`].

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::{Probe, classify};
use crate::act::BoxFuture;
use crate::act::executor::parameters;
use crate::client::psql::{self, Failed};
use crate::model::{Reach, Span};

/// See the module.
pub struct Postgres;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    dsn: String,
    #[serde(default)]
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    /// Either will do.
    #[default]
    Any,
    /// It takes writes.
    Primary,
    /// It follows.
    Standby,
}

/// No answer to a query: is anybody there?
async fn place_of(dsn: &str, why: &str, limit: Duration) -> Reach {
    let Some((host, port)) = psql::place(dsn) else {
        return Reach::Failing { detail: why.to_owned() };
    };
    let connected = async {
        if host.starts_with('/') {
            UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await.map(|_| ())
        } else {
            TcpStream::connect((host.as_str(), port)).await.map(|_| ())
        }
    };
    match timeout(limit, connected).await {
        Err(_) => Reach::Unreachable,
        Ok(Err(error)) => classify(&error),
        Ok(Ok(())) => of_words(why),
    }
}

/// It listens, and turns us away. What it says tells whether that is its trouble or ours.
fn of_words(why: &str) -> Reach {
    const ITS_OWN: [&str; 6] = [
        "starting up",
        "shutting down",
        "too many clients",
        "remaining connection slots",
        "in recovery mode",
        "not yet accepting connections",
    ];
    let detail = why.to_owned();
    if why.is_empty() || why.contains("killed after") {
        Reach::NoAnswer
    } else if ITS_OWN.iter().any(|words| why.contains(words)) {
        Reach::Failing { detail }
    } else {
        Reach::Odd { detail }
    }
}

async fn answer(with: &With, limit: Duration) -> Reach {
    let begin = Instant::now();
    let left = || limit.saturating_sub(begin.elapsed()).max(Duration::from_millis(50));
    match psql::ask(&with.dsn, &[], "SELECT pg_is_in_recovery();", limit).await {
        Ok(said) => match (said.as_str(), with.role) {
            ("t" | "f", Role::Any) | ("f", Role::Primary) | ("t", Role::Standby) => {
                Reach::Good { took: Span::default() }
            }
            ("t", Role::Primary) => Reach::Failing {
                detail: "it is a standby".into(),
            },
            ("f", Role::Standby) => Reach::Failing {
                detail: "it is a primary".into(),
            },
            (other, _) => Reach::Odd {
                detail: other.to_owned(),
            },
        },
        Err(Failed::NoConnection(why)) => place_of(&with.dsn, &why, left()).await,
        Err(Failed::Refused(detail)) => Reach::Failing { detail },
        Err(Failed::Lost(why)) if why.contains("killed after") => match place_of(&with.dsn, &why, left()).await {
            Reach::Odd { .. } => Reach::NoAnswer,
            other => other,
        },
        Err(Failed::Lost(_)) => Reach::Refused,
    }
}

impl Probe for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        psql::check(&parameters::<With>(with)?.dsn)
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
    fn whose_fault_it_is_that_we_are_turned_away() {
        let failing = |why| matches!(of_words(why), Reach::Failing { .. });
        assert!(failing("FATAL:  the database system is starting up"));
        assert!(failing("FATAL:  sorry, too many clients already"));
        assert!(matches!(
            of_words("FATAL:  password authentication failed for user \"x\""),
            Reach::Odd { .. }
        ));
    }

    #[tokio::test]
    async fn nobody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let reach = place_of(&format!("host=127.0.0.1 port={port}"), "x", Duration::from_secs(20)).await;
        assert_eq!(reach, Reach::Refused);
    }
}
