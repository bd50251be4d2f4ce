//! One of the two servers, and what it says in a form that can be compared.

use std::collections::BTreeMap;
use std::path::Path;

use jurymast::model::Timestamp;
use serde_json::Value;

use super::LONG;
use crate::harness::{Server, answers, get, wait_up_to};

pub struct Side {
    pub server: Server,
    port: u16,
}

impl Side {
    pub fn start(dir: &Path, program: &Path, arguments: &[&str], port: u16) -> Self {
        let server = Server::start(dir, program, arguments);
        wait_up_to(LONG, &format!("{} answers", program.display()), || {
            get(port, "/-/ready").is_some()
        });
        Self { server, port }
    }

    pub fn get(&self, path: &str) -> Value {
        get(self.port, path)
            .and_then(|body| serde_json::from_str(&whole(&body)).ok())
            .unwrap_or_default()
    }

    pub fn ask(&self, what: &str, pairs: &[(&str, &str)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("http://x/api/v1/{what}"), pairs).unwrap();
        self.get(&format!("{}?{}", url.path(), url.query().unwrap_or_default()))
    }
}

/// A body that may have come in chunks.
fn whole(body: &str) -> String {
    let is_size = |line: &str| !line.is_empty() && line.chars().all(|c| c.is_ascii_hexdigit());
    if body.starts_with(['{', '[']) {
        return body.to_owned();
    }
    let (mut rest, mut out) = (body, String::new());
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = if is_size(size) {
            usize::from_str_radix(size, 16).unwrap_or(0)
        } else {
            0
        };
        if size == 0 {
            break;
        }
        out += tail.get(..size).unwrap_or_default();
        rest = tail.get(size + 2..).unwrap_or_default();
    }
    out
}

/// How far an alert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Pending,
    Firing,
}

#[derive(Debug, PartialEq)]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub state: State,
    pub value: f64,
    /// Milliseconds.
    pub active_at: i64,
}

impl Alert {
    pub fn name(&self) -> String {
        format!("{} {:?}", self.labels["alertname"], self.labels)
    }
}

/// The alerts that stand, in the order of their labels. Ours have the label `entity` besides.
pub fn alerts(answer: &Value) -> Vec<Alert> {
    let mut list: Vec<Alert> = answer["data"]["alerts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|alert| {
            let map = |name: &str| -> BTreeMap<String, String> {
                serde_json::from_value(alert[name].clone()).unwrap_or_default()
            };
            let mut labels = map("labels");
            labels.remove("entity");
            Alert {
                labels,
                annotations: map("annotations"),
                state: if alert["state"] == "firing" {
                    State::Firing
                } else {
                    State::Pending
                },
                value: alert["value"]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(f64::NAN),
                active_at: alert["activeAt"]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .map_or(0, Timestamp::millis),
            }
        })
        .collect();
    list.sort_by(|a, b| (&a.labels["alertname"], &a.labels).cmp(&(&b.labels["alertname"], &b.labels)));
    list
}

/// Without the label that only we have.
pub fn tidy(answer: &Value) -> Value {
    answers::tidy(answer.clone(), &["entity"])
}
