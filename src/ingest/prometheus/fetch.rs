//! One GET: a bounded body, or what came of trying.

use std::error::Error;
use std::io::ErrorKind as K;

use bytes::BytesMut;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http::Client;
use crate::model::Reach;
use crate::net::whole;

/// Something that was not got.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// What that says of the target; `None` if the fault is our own, for then it says nothing.
    pub reach: Option<Reach>,
    /// A word for the counter of bad input.
    pub reason: &'static str,
    /// For a person.
    pub error: String,
}

impl Failed {
    /// Something answered, but not what it should.
    pub fn odd(reason: &'static str, error: String) -> Self {
        Self {
            reach: Some(Reach::Odd { detail: error.clone() }),
            reason,
            error,
        }
    }
}

/// An answer, whatever its status.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What it says it is.
    pub content_type: String,
    /// Its body, unpacked.
    pub body: BytesMut,
}

/// Asks and reads at most `limit` bytes, counted after unpacking.
pub async fn fetch(
    client: &Client,
    url: &str,
    limit: usize,
    with: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Result<Answer, Failed> {
    let request = client.get(url).map_err(|error| Failed {
        reach: None,
        reason: "settings",
        error,
    })?;
    let mut answer = match with(request).send().await {
        Ok(answer) => answer,
        Err(error) => return Err(unreached(client, url, &error.without_url()).await),
    };
    let status = answer.status();
    let content_type = answer
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let body = match read(&mut answer, limit).await {
        Ok(body) => body,
        // The status says it all.
        Err(_) if !status.is_success() => BytesMut::new(),
        Err(failed) => return Err(failed),
    };
    Ok(Answer {
        status,
        content_type,
        body,
    })
}

async fn read(answer: &mut Response, limit: usize) -> Result<BytesMut, Failed> {
    let mut body = BytesMut::new();
    loop {
        match answer.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Failed::odd(
                    "too_long",
                    format!("more than {limit} bytes (body_size_limit)"),
                ));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) if error.is_timeout() => {
                return Err(Failed {
                    reach: Some(Reach::NoAnswer),
                    reason: "unreached",
                    error: format!("the answer did not end in time: {}", whole(&error.without_url())),
                });
            }
            Err(error) => {
                let error = format!("the answer was cut off: {}", whole(&error.without_url()));
                return Err(Failed::odd("cut_off", error));
            }
        }
    }
}

/// What a status that is no success says.
pub fn refused(status: StatusCode) -> Failed {
    let detail = format!("HTTP {status}");
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; see http.basic_auth and http.bearer_token_file",
        _ => "",
    };
    let error = format!("it answers {status}{hint}");
    let reach = if status.is_server_error() {
        Reach::Failing { detail }
    } else {
        Reach::Odd { detail }
    };
    Failed {
        reach: Some(reach),
        reason: "status",
        error,
    }
}

async fn unreached(client: &Client, url: &str, error: &reqwest::Error) -> Failed {
    let mut io = None;
    let mut encrypted = false;
    let mut cause = error.source();
    while let Some(next) = cause {
        encrypted |= next.is::<rustls::Error>();
        cause = next.source();
        if let Some(found) = next.downcast_ref::<std::io::Error>() {
            io = io.or(Some(found));
            // An I/O error does not name what it wraps as its cause, but only the cause of that.
            cause = found.get_ref().map(|inner| inner as &(dyn Error + 'static)).or(cause);
        }
    }
    let (kind, code) = (io.map(std::io::Error::kind), io.and_then(std::io::Error::raw_os_error));
    let reach = if error.is_timeout() {
        // Was there nobody to connect to, or no answer? The way there is asked by itself.
        Some(if connects(client, url).await {
            Reach::NoAnswer
        } else {
            Reach::Unreachable
        })
    } else if ours(kind, code) {
        None
    } else if encrypted || !error.is_connect() && !error.is_request() {
        Some(Reach::Odd { detail: whole(error) })
    } else {
        Some(match kind {
            Some(
                K::ConnectionRefused | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof,
            ) => Reach::Refused,
            _ if error.is_connect() => Reach::Unreachable,
            // Accepted, and closed without a word.
            _ => Reach::Odd { detail: whole(error) },
        })
    };
    Failed {
        reach,
        reason: "unreached",
        error: whole(error),
    }
}

/// Out of files, buffers or ports: that is this machine's own trouble, and proves nothing of the target or of the network.
fn ours(kind: Option<K>, code: Option<i32>) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(
        kind,
        Some(K::AddrNotAvailable | K::AddrInUse | K::OutOfMemory | K::PermissionDenied)
    ) || matches!(code, Some(ENOMEM | ENFILE | EMFILE | ENOBUFS))
}

/// Can a connection be made at all?
async fn connects(client: &Client, url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connected = timeout(client.timeout(), TcpStream::connect((host, port))).await;
    matches!(connected, Ok(Ok(_)))
}
