//! The JSON gateway of etcd's API, version 3: one request, tried at one member after the other.
//!
//! Every request that is sent here may safely be sent twice: a try whose answer was lost is simply made again elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::EtcdSettings;
use crate::net::ask;
use crate::secret::resolve;

/// An answer longer than this is refused: the largest plan has some ten kilobytes.
const ANSWER_MAX: usize = 64 << 20;

/// What etcd calls "not logged in (any more)".
const UNAUTHENTICATED: i64 = 16;

/// Codes of gRPC that leave open what has happened, or will not at another member.
const TRY_ELSEWHERE: [i64; 6] = [1, 2, 4, 8, 10, 14];

/// A request that has not been carried out, or whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// etcd said no.
    #[error("etcd says: {message}")]
    Refused {
        /// The code of gRPC.
        code: i64,
        /// Its words.
        message: String,
    },
    /// No member gave an answer. It may have been carried out.
    #[error("no member of etcd answers: {0}")]
    Silent(String),
    /// The settings cannot be followed.
    #[error("coordinate.etcd: {0}")]
    Settings(String),
}

/// See the module.
pub struct Client {
    http: reqwest::Client,
    settings: EtcdSettings,
    timeout: Duration,
    /// The member that has answered last.
    good: AtomicUsize,
    token: Mutex<Option<String>>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that made it.
    pub created: i64,
    /// The lease that it hangs on, or 0.
    pub lease: i64,
}

/// Keys found, and the revision of the store at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// In the order of their keys.
    pub pairs: Vec<Pair>,
    /// Which.
    pub revision: i64,
}

/// As the gateway wants bytes.
pub fn coded(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The first key behind all that begin so.
pub fn behind(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    while let Some(last) = bytes.pop() {
        if last < 0xff {
            bytes.push(last + 1);
            return bytes;
        }
    }
    vec![0]
}

fn number(value: &Value) -> i64 {
    // Numbers of 64 bits are texts in JSON; a zero is left out.
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .or_else(|| value.as_i64())
        .unwrap_or(0)
}

/// A key and its value as the gateway gives them.
pub fn pair(value: &Value) -> Option<Pair> {
    let bytes = |name: &str| STANDARD.decode(value[name].as_str().unwrap_or_default()).ok();
    Some(Pair {
        key: String::from_utf8(bytes("key")?).ok()?,
        value: bytes("value")?,
        created: number(&value["create_revision"]),
        lease: number(&value["lease"]),
    })
}

impl Client {
    /// By settings; each try at one member takes no longer than `timeout`.
    pub fn new(settings: &EtcdSettings, timeout: Duration) -> Result<Self, CallError> {
        let builder = settings.tls.http();
        let builder = builder.map_err(|error| CallError::Settings(error.to_string()))?;
        let http = builder.timeout(timeout).build();
        let http = http.map_err(|error| CallError::Settings(error.to_string()))?;
        Ok(Self {
            http,
            settings: settings.clone(),
            timeout,
            good: AtomicUsize::new(0),
            token: Mutex::new(None),
        })
    }

    /// Sends a request; the answer as it is.
    pub async fn call(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let mut last = CallError::Silent("no endpoint".into());
        let count = self.settings.endpoints.len();
        let first = self.good.load(Ordering::Relaxed);
        for offset in 0..count {
            let at = (first + offset) % count;
            let mut answer = self.try_at(at, path, body).await;
            if matches!(&answer, Err(CallError::Refused { code, .. }) if *code == UNAUTHENTICATED)
                && self.settings.username.is_some()
            {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                answer = self.try_at(at, path, body).await;
            }
            match answer {
                Err(error @ CallError::Silent(_)) => last = error,
                answer => {
                    self.good.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(last)
    }

    async fn try_at(&self, at: usize, path: &str, body: &Value) -> Result<Value, CallError> {
        let endpoint = self.settings.endpoints.get(at).map_or("", String::as_str);
        let url = |path: &str| format!("{}/v3/{path}", endpoint.trim_end_matches('/'));
        let token = match &self.settings.username {
            None => None,
            Some(user) => Some(self.logged_in(user, &url("auth/authenticate")).await?),
        };
        self.send(&url(path), body, token.as_deref()).await
    }

    async fn logged_in(&self, user: &str, url: &str) -> Result<String, CallError> {
        if let Some(token) = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(token);
        }
        let password = resolve(self.settings.password.as_ref(), self.settings.password_file.as_deref())
            .map_err(|error| CallError::Settings(error.to_string()))?
            .unwrap_or_default();
        let body = json!({"name": user, "password": password.expose()});
        let answer = self.send(url, &body, None).await?;
        let token = answer["token"].as_str().unwrap_or_default().to_owned();
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    async fn send(&self, url: &str, body: &Value, token: Option<&str>) -> Result<Value, CallError> {
        let mut request = self.http.post(url).json(body);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let (status, bytes) = ask(request, url, ANSWER_MAX).await.map_err(CallError::Silent)?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| CallError::Silent(format!("{url} answers {status} and no JSON: is it an etcd?")))?;
        // An error in the middle of a stream comes with a good status.
        let wrong = if status.is_success() { &value["error"] } else { &value };
        if status.is_success() && wrong.is_null() {
            return Ok(value);
        }
        let code = wrong["code"]
            .as_i64()
            .or_else(|| wrong["grpc_code"].as_i64())
            .unwrap_or(2);
        let message = wrong["message"].as_str().or_else(|| wrong["error"].as_str());
        let message = message.unwrap_or("an error without words").to_owned();
        Err(if TRY_ELSEWHERE.contains(&code) {
            CallError::Silent(format!("{url}: {message}"))
        } else {
            CallError::Refused { code, message }
        })
    }

    /// How long a try at one member takes at most.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Every key that begins so; with `since`, only those that were written at that revision or later.
    pub async fn list(&self, prefix: &str, since: Option<i64>) -> Result<Found, CallError> {
        let mut body = json!({"key": coded(prefix), "range_end": coded(behind(prefix))});
        if let Some(since) = since {
            body["min_mod_revision"] = json!(since.to_string());
        }
        let answer = self.call("kv/range", &body).await?;
        let pairs = answer["kvs"].as_array().into_iter().flatten().filter_map(pair);
        Ok(Found {
            pairs: pairs.collect(),
            revision: number(&answer["header"]["revision"]),
        })
    }

    /// A transaction. True if its conditions held; with the answers to its requests.
    pub async fn transact(&self, conditions: Value, then: Value, or: Value) -> Result<(bool, Value), CallError> {
        let body = json!({"compare": conditions, "success": then, "failure": or});
        let answer = self.call("kv/txn", &body).await?;
        Ok((answer["succeeded"].as_bool().unwrap_or(false), answer))
    }

    /// A new lease.
    pub async fn grant(&self, ttl: Duration) -> Result<i64, CallError> {
        let answer = self
            .call("lease/grant", &json!({"TTL": ttl.as_secs().to_string()}))
            .await?;
        match number(&answer["ID"]) {
            0 => Err(CallError::Silent("a lease without a number".into())),
            id => Ok(id),
        }
    }

    /// Renews a lease. False if there is no such lease any more.
    pub async fn keep_alive(&self, lease: i64) -> Result<bool, CallError> {
        let answer = self.call("lease/keepalive", &json!({"ID": lease.to_string()})).await?;
        Ok(number(&answer["result"]["TTL"]) > 0)
    }

    /// Ends a lease, and with it all keys that hang on it.
    pub async fn revoke(&self, lease: i64) -> Result<(), CallError> {
        let body = json!({"ID": lease.to_string()});
        match self.call("lease/revoke", &body).await {
            Ok(_) => Ok(()),
            // It is gone already.
            Err(CallError::Refused { code: 5, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_behind_a_prefix() {
        assert_eq!(behind("/a/"), b"/a0");
        assert_eq!(behind("\u{0}"), [1]);
    }

    #[test]
    fn a_pair_as_the_gateway_gives_it() {
        let value = json!({"key": coded("k"), "value": coded("v"), "create_revision": "7", "lease": "12"});
        let expected = Pair {
            key: "k".into(),
            value: b"v".to_vec(),
            created: 7,
            lease: 12,
        };
        assert_eq!(pair(&value), Some(expected));
        assert_eq!(pair(&json!({"key": "!"})), None);
    }
}
