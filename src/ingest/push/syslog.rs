//! Syslog (RFC 5424) over UDP and TCP; messages of the older form (RFC 3164) are read as far as they tell.
//!
//! TCP frames are counted or end with a line feed (RFC 6587).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::logs::Miner;
use super::settings::SyslogSettings;
use crate::clock::wall_clock;
use crate::diagnose::drain::speaks_of_error;
use crate::engine::Input;
use crate::ingest::{Feed, Source};
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, EntityName, template};

/// Bytes of one message.
const MESSAGE_MAX: usize = 64 << 10;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;

/// Rates are told this often.
pub const EVERY: Duration = Duration::from_secs(10);

/// Severities up to here are errors (RFC 5424, 6.2.1).
const ERROR: u16 = 3;

/// A message, as far as it is needed.
#[derive(Debug, PartialEq)]
pub struct Message<'a> {
    /// From 0, an emergency, to 7.
    pub severity: u16,
    /// The host.
    pub hostname: Option<&'a str>,
    /// The program.
    pub app: Option<&'a str>,
    /// What it says.
    pub text: &'a str,
}

/// Reads a message. `Err` says what is wrong.
pub fn parse(text: &str) -> Result<Message<'_>, &'static str> {
    let text = text.trim_end_matches(['\r', '\n', '\0']);
    let (priority, rest) = text
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        .ok_or("it does not begin with <PRIORITY>")?;
    let priority: u16 = priority
        .parse()
        .ok()
        .filter(|priority| *priority <= 191)
        .ok_or("its priority is not 0 to 191")?;
    let severity = priority % 8;
    let Some(rest) = rest.strip_prefix("1 ") else {
        return Ok(older(severity, rest));
    };
    let mut rest = rest;
    let mut next = || -> Result<Option<&str>, &'static str> {
        let (word, tail) = rest.split_once(' ').ok_or("its header ends too early")?;
        rest = tail;
        Ok(Some(word).filter(|word| *word != "-" && !word.is_empty()))
    };
    let (_time, hostname, app, _process, _id) = (next()?, next()?, next()?, next()?, next()?);
    let text = structured(rest)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(Message {
        severity,
        hostname,
        app,
        text,
    })
}

/// What stands behind the structured data.
fn structured(text: &str) -> Result<&str, &'static str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let (mut quoted, mut escaped, mut open) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if open => quoted = !quoted,
            '[' if !open => open = true,
            ']' if open && !quoted => open = false,
            ' ' if !open => return Ok(&text[at + 1..]),
            _ if !open => return Err("its structured data does not begin with '['"),
            _ => {}
        }
    }
    if open {
        Err("its structured data has no end")
    } else {
        Ok("")
    }
}

/// `Mmm dd hh:mm:ss HOST TAG: text`.
fn older(severity: u16, text: &str) -> Message<'_> {
    let stamped = text.get(..16).filter(|stamp| {
        stamp.is_ascii() && stamp.as_bytes()[3] == b' ' && stamp.as_bytes()[9] == b':' && stamp.ends_with(' ')
    });
    let mut message = Message {
        severity,
        hostname: None,
        app: None,
        text,
    };
    let Some((host, rest)) = stamped
        .and_then(|_| text.get(16..))
        .and_then(|rest| rest.split_once(' '))
    else {
        return message;
    };
    (message.hostname, message.text) = (Some(host), rest);
    if let Some((tag, said)) = rest
        .split_once(": ")
        .filter(|(tag, _)| !tag.contains(' ') && !tag.is_empty())
    {
        (message.app, message.text) = (Some(tag.split('[').next().unwrap_or(tag)), said);
    }
    message
}

/// See the module.
pub struct SyslogSource {
    settings: SyslogSettings,
}

impl SyslogSource {
    /// A source of checked settings.
    pub const fn new(settings: SyslogSettings) -> Self {
        Self { settings }
    }
}

struct Shared {
    settings: SyslogSettings,
    feed: Feed,
    miner: Mutex<Miner>,
}

impl Shared {
    fn take(&self, bytes: &[u8]) {
        let label = BySource {
            source: self.settings.name.clone(),
        };
        self.feed.metrics.messages.get_or_create(&label).inc();
        let text = String::from_utf8_lossy(bytes);
        let message = match parse(&text) {
            Ok(message) => message,
            Err(error) => {
                let label = ByReason {
                    source: self.settings.name.clone(),
                    reason: "syslog",
                };
                self.feed.metrics.bad_input.get_or_create(&label).inc();
                tracing::debug!(source = %self.settings.name, error, "a message cannot be read");
                return;
            }
        };
        let value = |name: &str| match name {
            "hostname" => Some(message.hostname.unwrap_or("unknown")),
            "app" => Some(message.app.unwrap_or("unknown")),
            _ => None,
        };
        let entity: EntityName = template::fill(&self.settings.entity, value)
            .unwrap_or_else(|_| self.settings.name.clone())
            .as_str()
            .into();
        let word = if message.severity <= ERROR && !speaks_of_error(message.text) {
            "error "
        } else {
            ""
        };
        let line = match message.app {
            Some(app) => format!("{word}{app}: {}", message.text),
            None => format!("{word}{}", message.text),
        };
        self.miner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .line(&entity, &line);
    }

    async fn flush(&self) {
        let mut batch = Batch::default();
        {
            let mut miner = self.miner.lock().unwrap_or_else(PoisonError::into_inner);
            miner.flush(wall_clock(), &self.feed.catalog, &mut batch);
            let dropped = std::mem::take(&mut miner.dropped);
            if dropped > 0 {
                let label = BySource {
                    source: format!("{}:writers", self.settings.name),
                };
                self.feed.metrics.bound_reached.get_or_create(&label).inc_by(dropped);
            }
        }
        if !batch.is_empty() {
            let label = BySource {
                source: self.settings.name.clone(),
            };
            let samples = self.feed.metrics.samples.get_or_create_owned(&label);
            samples.inc_by(batch.samples.len() as u64);
            let _ = self.feed.inbox.send(Input::Batch(batch)).await;
        }
    }
}

impl Source for SyslogSource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let shared = Arc::new(Shared {
                settings: self.settings,
                feed,
                miner: Mutex::default(),
            });
            let stop = shared.feed.stop.clone();
            let flushing = Arc::clone(&shared);
            let flush = async move {
                let mut due = tokio::time::interval(EVERY);
                loop {
                    due.tick().await;
                    flushing.flush().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = listen_again_and_again(&shared) => {}
                () = flush => {}
            }
        })
    }
}

/// A port that is taken may become free.
async fn listen_again_and_again(shared: &Arc<Shared>) {
    loop {
        let listened = match shared.settings.address() {
            Ok((address, true)) => tcp(shared, address).await,
            Ok((address, false)) => udp(shared, address).await,
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = listened {
            tracing::error!(source = %shared.settings.name, listen = %shared.settings.listen, %error, "cannot listen");
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn udp(shared: &Shared, address: &str) -> std::io::Result<()> {
    let socket = UdpSocket::bind(address).await?;
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        shared.take(buffer.get(..length).unwrap_or_default());
    }
}

async fn tcp(shared: &Arc<Shared>, address: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, _) = listener.accept().await?;
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            let label = BySource {
                source: format!("{}:connections", shared.settings.name),
            };
            shared.feed.metrics.bound_reached.get_or_create(&label).inc();
            continue;
        };
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let stop = shared.feed.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection(&shared, stream) => {}
            }
            drop(place);
        });
    }
}

/// Frames of one connection, until it ends or says what cannot be one.
async fn connection(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    // Counted as a message that cannot be read; what follows on this connection cannot be told apart.
    let wrong = || {
        shared.take(b"");
        std::io::Error::other("no frame of syslog")
    };
    let mut reader = BufReader::new(stream);
    let mut frame = Vec::new();
    loop {
        frame.clear();
        let first = reader.read_u8().await?;
        if first.is_ascii_digit() {
            let mut length = usize::from(first - b'0');
            loop {
                match reader.read_u8().await? {
                    b' ' => break,
                    digit if digit.is_ascii_digit() && length <= MESSAGE_MAX => {
                        length = length * 10 + usize::from(digit - b'0');
                    }
                    _ => return Err(wrong()),
                }
            }
            if length > MESSAGE_MAX {
                return Err(wrong());
            }
            frame.resize(length, 0);
            reader.read_exact(&mut frame).await?;
        } else {
            let mut byte = first;
            while byte != b'\n' {
                if frame.len() >= MESSAGE_MAX {
                    return Err(wrong());
                }
                frame.push(byte);
                byte = reader.read_u8().await.unwrap_or(b'\n');
            }
        }
        if !frame.is_empty() {
            shared.take(&frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read_and_the_older_form_as_far_as_it_tells() {
        let message =
            parse("<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed").unwrap();
        assert_eq!(
            message,
            Message {
                severity: 2,
                hostname: Some("mymachine.example.com"),
                app: Some("su"),
                text: "'su root' failed"
            }
        );
        let message =
            parse("<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [a@1 k=\"\\\"x\\] y\"][b@1 c=\"1\"] An event")
                .unwrap();
        assert_eq!(message.text, "An event");
        assert_eq!(parse("<165>1 - - - - - [a@1 c=\"1\"]").unwrap().text, "");
        let message = parse("<13>Feb  5 17:32:18 box cron[12]: started").unwrap();
        assert_eq!(
            (message.hostname, message.app, message.text),
            (Some("box"), Some("cron"), "started")
        );
        assert_eq!(parse("<13>hello").unwrap().text, "hello");
        for bad in ["", "hello", "<999>1 - - - - - - x", "<1>1 - -", "<1>1 - - - - - [a"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<[0-9]{1,3}>)?(1 )?[ -~é\u{feff}]{0,60}") {
            let _ = parse(&text);
        }
    }
}
