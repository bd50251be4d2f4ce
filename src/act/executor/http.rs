//! HTTP: one request; its effect is looked at by another.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Call, Executor, TokenClass, parameters, read_bounded};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};

/// Of an answer that tells the effect, and of one that tells an error, no more is read.
const LOOK_MAX: usize = 1 << 20;
const ERROR_MAX: usize = 4096;

/// See the module.
pub struct Http {
    client: reqwest::Client,
}

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(default = "put")]
    method: String,
    url: String,
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    /// Good answers; any 2xx if left out.
    #[serde(default)]
    expect: Vec<u16>,
    #[serde(default)]
    observe: Option<Look>,
}

/// How the effect is looked at: a GET whose JSON answer has at `pointer` (RFC 6901) what `equals` says, or a list with what
/// `contains` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    url: String,
    pointer: String,
    #[serde(default)]
    equals: Option<Value>,
    #[serde(default)]
    contains: Option<Value>,
}

impl Look {
    fn shows(&self, answer: &Value) -> bool {
        let found = answer.pointer(&self.pointer);
        let equals = self.equals.as_ref().is_none_or(|wanted| found == Some(wanted));
        let contains = self.contains.as_ref().is_none_or(|wanted| match found {
            Some(Value::Array(list)) => list.contains(wanted),
            // One value is a list of one.
            other => other == Some(wanted),
        });
        equals && contains
    }
}

fn put() -> String {
    "PUT".into()
}

impl Http {
    /// A client of its own.
    pub fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap_or_default();
        Self { client }
    }
}

impl Executor for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        reqwest::Url::parse(&with.url).map_err(|error| format!("'{}' is not a URL: {error}", with.url))?;
        with.method
            .parse::<reqwest::Method>()
            .map_err(|_| format!("'{}' is not a method", with.method))?;
        match &with.observe {
            Some(look) if look.equals.is_none() && look.contains.is_none() => {
                Err("observe needs equals or contains".into())
            }
            _ => Ok(()),
        }
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        self.observe(call)
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Target
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with: With = match call.parameters() {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            let Ok(method) = with.method.parse::<reqwest::Method>() else {
                return Applied::NoEffect(format!("'{}' is not a method", with.method));
            };
            let mut request = self
                .client
                .request(method, &with.url)
                .timeout(call.timeout)
                .header("Idempotency-Key", call.key)
                .header("Jurymast-Token", call.token.to_string());
            for (name, value) in &with.headers {
                request = request.header(name, value);
            }
            if let Some(json) = &with.json {
                request = request.json(json);
            }
            match request.send().await {
                Ok(answer) => {
                    let status = answer.status();
                    let good = if with.expect.is_empty() {
                        status.is_success()
                    } else {
                        with.expect.contains(&status.as_u16())
                    };
                    if good {
                        return Applied::Done;
                    }
                    let text = read_bounded(answer, ERROR_MAX).await.unwrap_or_default();
                    let error = format!(
                        "{} answers {status}: {}",
                        with.url,
                        String::from_utf8_lossy(&text).chars().take(200).collect::<String>()
                    );
                    // A refusal is a refusal; an error of the server may have come after the effect.
                    if status.is_server_error() {
                        Applied::Unknown(error)
                    } else {
                        Applied::NoEffect(error)
                    }
                }
                Err(error) if error.is_connect() || error.is_builder() => Applied::NoEffect(error.to_string()),
                Err(error) => Applied::Unknown(error.to_string()),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(With {
                observe: Some(look), ..
            }) = call.parameters()
            else {
                return Effect::Unknown;
            };
            let Ok(answer) = self.client.get(&look.url).timeout(call.timeout).send().await else {
                return Effect::Unknown;
            };
            if !answer.status().is_success() {
                return Effect::Unknown;
            }
            let Ok(bytes) = read_bounded(answer, LOOK_MAX).await else {
                return Effect::Unknown;
            };
            match serde_json::from_slice(&bytes) {
                Ok(json) if look.shows(&json) => Effect::There,
                Ok(_) => Effect::NotThere,
                Err(_) => Effect::Unknown,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::model::{PlanId, Token};

    /// Answers every request with a head and then with bytes without end. Returns its port and what it was asked.
    async fn endless(head: &'static str) -> (u16, tokio::sync::mpsc::Receiver<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, requests) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = asked.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let _ = asked.send(String::from_utf8_lossy(&request[..read]).into_owned()).await;
                    let _ = stream.write_all(head.as_bytes()).await;
                    while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                });
            }
        });
        (port, requests)
    }

    #[tokio::test]
    async fn the_token_is_in_the_head_and_an_answer_without_end_is_cut_off() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (port, mut requests) = endless("HTTP/1.1 500 Ill\r\nConnection: close\r\n\r\n").await;
        let url = format!("http://127.0.0.1:{port}/x");
        let with = serde_json::json!({"url": url, "observe": {"url": url, "pointer": "", "equals": 1}});
        let with = with.as_object().unwrap();
        let call = Call {
            with,
            plan: &PlanId("svc-3-1".into()),
            token: Token { epoch: 3, seq: 1 },
            key: "k",
            timeout: std::time::Duration::from_secs(60),
        };
        let applied = Http::new().apply(&call).await;
        assert!(matches!(applied, Applied::Unknown(why) if why.contains("500")));
        let request = requests.recv().await.unwrap().to_lowercase();
        assert!(
            request.contains("jurymast-token: 3.1") && request.contains("idempotency-key: k"),
            "{request}"
        );

        let (port, _requests) = endless("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n1").await;
        let url = format!("http://127.0.0.1:{port}/x");
        let with = serde_json::json!({"url": url, "observe": {"url": url, "pointer": "", "equals": 1}});
        let call = Call {
            with: with.as_object().unwrap(),
            ..call
        };
        // What was read is the number one and blanks: the rest would tell nothing else.
        assert_eq!(Http::new().observe(&call).await, Effect::There);
    }

    #[test]
    fn a_list_contains_and_a_single_value_is_a_list_of_one() {
        let look: Look =
            serde_json::from_value(serde_json::json!({"url": "http://x/", "pointer": "/fenced", "contains": "a"}))
                .unwrap();
        assert!(look.shows(&serde_json::json!({"fenced": ["b", "a"]})));
        assert!(look.shows(&serde_json::json!({"fenced": "a"})));
        assert!(!look.shows(&serde_json::json!({"fenced": ["b"]})));
        assert!(!look.shows(&serde_json::json!({})));
    }
}
