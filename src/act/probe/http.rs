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
            // Somebody answered, and not in the way that was agreed: a certificate that is not trusted, no TLS at all.
            if is_tls(io) {
                return Reach::Odd { detail: io.to_string() };
            }
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

/// Is it rustls that complains, however deep it is wrapped?
fn is_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>() || inner.downcast_ref::<io::Error>().is_some_and(is_tls))
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says the same to whoever asks, or nothing at all.
    async fn says(answer: Option<&'static str>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut mute = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(answer) = answer else {
                    mute.push(stream);
                    continue;
                };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    async fn ask(with: Value) -> Reach {
        crate::net::install_crypto();
        let Value::Object(with) = with else {
            panic!("not parameters")
        };
        Http::new().ask(&with, Duration::from_millis(500)).await
    }

    const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

    #[tokio::test]
    async fn the_status_and_the_text_tell_good_from_failing_from_odd() {
        let well = says(Some(WELL)).await;
        let url = format!("http://127.0.0.1:{well}/");
        assert!(ask(json!({"url": url})).await.is_good());
        assert!(ask(json!({"url": url, "contains": "ok"})).await.is_good());
        let missing = ask(json!({"url": url, "contains": "primary"})).await;
        assert!(matches!(missing, Reach::Failing { .. }), "{missing:?}");
        let other = ask(json!({"url": url, "expect": 204})).await;
        assert!(matches!(other, Reach::Odd { .. }), "{other:?}");
        let ill = says(Some(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ))
        .await;
        let ill = ask(json!({"url": format!("http://127.0.0.1:{ill}/")})).await;
        assert!(matches!(ill, Reach::Failing { .. }), "{ill:?}");
    }

    #[tokio::test]
    async fn nobody_there_is_refused_and_nobody_answering_is_no_answer() {
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert_eq!(
            ask(json!({"url": format!("http://127.0.0.1:{free}/")})).await,
            Reach::Refused
        );
        let mute = says(None).await;
        assert_eq!(
            ask(json!({"url": format!("http://127.0.0.1:{mute}/")})).await,
            Reach::NoAnswer
        );
    }

    /// A host that answers is no host that is down, whatever is wrong with its certificate.
    #[tokio::test]
    async fn a_failed_tls_handshake_says_nothing_of_the_host() {
        let plain = says(Some(WELL)).await;
        let reach = ask(json!({"url": format!("https://127.0.0.1:{plain}/")})).await;
        assert!(matches!(reach, Reach::Odd { .. }), "{reach:?}");
    }
}
