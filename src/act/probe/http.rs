//! HTTP: a GET and the status of its answer. Each probe takes a connection of its own: an old one proves nothing of a new client's chances.

use std::error::Error;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Probe, classify};
use crate::act::BoxFuture;
use crate::act::executor::{parameters, read_bounded};
use crate::model::{Reach, Span};

/// A text that is looked for is looked for so far and no further.
const ANSWER_MAX: usize = 1 << 20;

/// See the module.
pub struct Http {
    client: reqwest::Client,
}

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    url: String,
    /// The status that is good; any 2xx if left out.
    #[serde(default)]
    expect: Option<u16>,
    /// The answer must hold this text.
    #[serde(default)]
    contains: Option<String>,
}

impl Http {
    /// A client of its own.
    pub fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap_or_default();
        Self { client }
    }

    async fn answer(&self, with: &With) -> Reach {
        let answer = match self.client.get(&with.url).send().await {
            Ok(answer) => answer,
            Err(error) => return of_error(&error),
        };
        let status = answer.status();
        let good = with
            .expect
            .map_or(status.is_success(), |expected| status.as_u16() == expected);
        if !good {
            let detail = format!("HTTP {status}");
            return if status.is_server_error() {
                Reach::Failing { detail }
            } else {
                Reach::Odd { detail }
            };
        }
        if let Some(wanted) = &with.contains {
            let text = match read_bounded(answer, ANSWER_MAX).await {
                Ok(text) => text,
                Err(error) => return of_error(&error),
            };
            if !String::from_utf8_lossy(&text).contains(wanted) {
                return Reach::Failing {
                    detail: format!("the answer does not hold '{wanted}'"),
                };
            }
        }
        Reach::Good { took: Span::default() }
    }
}

fn of_error(error: &reqwest::Error) -> Reach {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return classify(io);
        }
        source = cause.source();
    }
    if error.is_builder() {
        Reach::Odd {
            detail: error.to_string(),
        }
    } else {
        Reach::Refused
    }
}

impl Probe for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        reqwest::Url::parse(&with.url)
            .map(|_| ())
            .map_err(|error| format!("'{}' is not a URL: {error}", with.url))
    }

    fn ask<'a>(&'a self, with: &'a Map<String, Value>, limit: Duration) -> BoxFuture<'a, Reach> {
        Box::pin(async move {
            let with: With = match parameters(with) {
                Ok(with) => with,
                Err(detail) => return Reach::Odd { detail },
            };
            let deadline = Instant::now() + limit;
            match timeout_at(deadline, self.answer(&with)).await {
                Ok(reach) => reach,
                // Too late: was there nobody to connect to, or no answer? The way there is asked by itself.
                Err(_) => match connects(&with.url, limit).await {
                    Some(false) => Reach::Unreachable,
                    _ => Reach::NoAnswer,
                },
            }
        })
    }
}

/// Can a connection be made at all?
async fn connects(url: &str, limit: Duration) -> Option<bool> {
    let url = reqwest::Url::parse(url).ok()?;
    let address = (url.host_str()?.to_owned(), url.port_or_known_default()?);
    let connected = timeout_at(Instant::now() + limit, TcpStream::connect(address)).await;
    Some(matches!(connected, Ok(Ok(_))))
}
