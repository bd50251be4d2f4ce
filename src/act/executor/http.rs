//! HTTP: one request; its effect is looked at by another.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};

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

/// How the effect is looked at: a GET whose JSON answer holds `equals` at `pointer` (RFC 6901).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    url: String,
    pointer: String,
    equals: Value,
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
        Ok(())
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
                    let text = answer.text().await.unwrap_or_default();
                    let error = format!(
                        "{} answers {status}: {}",
                        with.url,
                        text.chars().take(200).collect::<String>()
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
            match answer.json::<Value>().await {
                Ok(json) if json.pointer(&look.pointer) == Some(&look.equals) => Effect::There,
                Ok(_) => Effect::NotThere,
                Err(_) => Effect::Unknown,
            }
        })
    }
}
