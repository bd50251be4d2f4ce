//! TCP: a connection is good enough.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Probe, classify};
use crate::act::BoxFuture;
use crate::act::executor::parameters;
use crate::model::{Reach, Span};

/// See the module.
pub struct Tcp;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `host:port`.
    address: String,
}

impl Probe for Tcp {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        match with.address.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(()),
            _ => Err(format!("'{}' is not host:port", with.address)),
        }
    }

    fn ask<'a>(&'a self, with: &'a Map<String, Value>, limit: Duration) -> BoxFuture<'a, Reach> {
        Box::pin(async move {
            let with: With = match parameters(with) {
                Ok(with) => with,
                Err(detail) => return Reach::Odd { detail },
            };
            match timeout(limit, TcpStream::connect(&with.address)).await {
                Ok(Ok(_)) => Reach::Good { took: Span::default() },
                Ok(Err(error)) => classify(&error),
                Err(_) => Reach::Unreachable,
            }
        })
    }
}
