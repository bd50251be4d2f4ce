//! The service as its clients see it while a drill goes on: asked at its front again and again, each time by a new connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::Url;
use serde::Serialize;

use crate::net::Tls;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(20);

/// A client that waits longer has given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What clients saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Seen {
    /// Questions.
    pub asked: u64,
    /// Those that got no good answer.
    pub failed: u64,
    /// The longest time from a question that failed to the end of the next good answer.
    pub gone_s: f64,
    /// The longest time that a good answer took.
    pub slowest_s: f64,
    /// What the first one that failed was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    #[serde(skip)]
    gone_since: Option<Instant>,
}

/// A client of the front.
pub struct Client {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Client {
    /// Begins to ask; `Err` if there is no good answer while all is still well.
    pub fn begin(front: &str) -> Result<Self, String> {
        let url = Url::parse(front).map_err(|error| format!("--front {front}: {error}"))?;
        let wrong = |error: &dyn std::error::Error| format!("--front: {error}");
        let builder = Tls::default().http().map_err(|error| wrong(&error))?;
        let http = builder.timeout(PATIENCE).pool_max_idle_per_host(0).build();
        let http = http.map_err(|error| wrong(&error))?;
        let runtime = crate::cli::runtime()?;
        runtime
            .block_on(ask(&http, &url))
            .map_err(|error| format!("--front {front} does not serve before the drill: {error}"))?;
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = runtime.block_on(ask(&http, &url));
                seen.note(begun, Instant::now(), answer);
                std::thread::sleep(PAUSE);
            }
            seen.end(Instant::now())
        });
        Ok(Self { over, thread })
    }

    /// What it saw until now.
    pub fn end(self) -> Result<Seen, String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| "the client of the front has failed".to_owned())
    }
}

impl Seen {
    fn note(&mut self, begun: Instant, ended: Instant, answer: Result<(), String>) {
        self.asked += 1;
        match answer {
            Ok(()) => {
                self.slowest_s = self.slowest_s.max(ended.duration_since(begun).as_secs_f64());
                self.back(ended);
            }
            Err(error) => {
                self.failed += 1;
                self.gone_since.get_or_insert(begun);
                self.first_error.get_or_insert(error);
            }
        }
    }

    fn back(&mut self, at: Instant) {
        if let Some(since) = self.gone_since.take() {
            self.gone_s = self.gone_s.max(at.duration_since(since).as_secs_f64());
        }
    }

    /// What is still gone at the end has been gone until then.
    fn end(mut self, at: Instant) -> Self {
        self.back(at);
        self
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let why = self
            .first_error
            .as_ref()
            .map_or_else(String::new, |error| format!(", first: {error}"));
        format!(
            "clients of the front saw it gone for {:.2} s at most ({} of {} requests failed{why}; slowest good answer {:.2} s)",
            self.gone_s, self.failed, self.asked, self.slowest_s
        )
    }
}

async fn ask(http: &reqwest::Client, url: &Url) -> Result<(), String> {
    if url.scheme() == "tcp" {
        let address = (url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
        return match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".into()),
        };
    }
    let answer = http.get(url.clone()).send().await.map_err(|error| reason(&error))?;
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        return Err(status.to_string());
    }
    // An answer that breaks off is none.
    answer.bytes().await.map(|_| ()).map_err(|error| reason(&error))
}

/// The innermost cause says most.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_is_from_the_first_that_fails_to_the_next_good_answer() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut seen = Seen::default();
        for (begun, ended, good) in [
            (0, 10, true),
            (30, 40, false),
            (60, 160, false),
            (180, 230, true),
            (250, 260, true),
        ] {
            let answer = if good { Ok(()) } else { Err("refused".to_owned()) };
            seen.note(start + ms(begun), start + ms(ended), answer);
        }
        seen.note(start + ms(280), start + ms(290), Err("503".into()));
        let seen = seen.end(start + ms(330));
        assert_eq!((seen.asked, seen.failed), (6, 3));
        assert!(
            (seen.gone_s - 0.2).abs() < 1e-9 && (seen.slowest_s - 0.05).abs() < 1e-9,
            "{seen:?}"
        );
        assert!(
            seen.summary().contains("3 of 6 requests failed, first: refused"),
            "{}",
            seen.summary()
        );
    }

    #[test]
    fn what_does_not_serve_before_the_drill_is_said() {
        let error = Client::begin("http://127.0.0.1:1/").err().unwrap();
        assert!(error.contains("does not serve before the drill"), "{error}");
        assert!(Client::begin("no url").is_err());
    }
}
