//! A session with a broker of either version: lets us in, cuts what comes, keeps us alive.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::frames::{Cut, Cutter, Frame, FrameError, Message};
use super::link::{Address, Link, LinkError};
use super::packets::{self, Answer, GOODBYE, Hello, PING};
use super::settings::{Protocol, Settings, SettingsError};
use crate::model::{EntityName, Reach, Span};
use crate::net::TlsError;
use crate::secret::{SecretError, resolve};

/// A connection attempt takes no longer than this, the broker's answer included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Packets handed on together.
const GROUP: usize = 64;

/// What a connection brings.
pub enum Packet<'a> {
    /// A message.
    Message(Message<'a>),
    /// A message, without its payload, in a packet of so many bytes. That is more than is taken.
    TooLong(Message<'a>, usize),
    /// A message on a topic that is no text, and the number by which it is acknowledged.
    Nameless(Option<u16>),
    /// The subscriptions are answered: the places of those that were refused in the list of what was asked, each with its reason.
    Subscribed(Vec<(usize, String)>),
}

/// Why a connection ended.
#[derive(Debug)]
pub struct Lost {
    /// As a try to reach the broker.
    pub reach: Reach,
    /// In words.
    pub reason: String,
    /// The broker broke the protocol.
    pub broken: bool,
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The password.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What does not fit into a packet.
    #[error("{0}")]
    Hello(String),
}

/// All that it takes to connect.
pub struct Dial {
    address: Address,
    hello: Vec<u8>,
    protocol: Protocol,
    limit: usize,
    ping_every: Duration,
}

/// Connects once and leaves again: would the broker let us in? As a client of a name of its own, so that a running agent keeps its session.
pub async fn knock(settings: &Settings) -> Result<(), String> {
    let own = Settings {
        client_id: Some(format!("jurymast-check-{}", std::process::id())),
        ..settings.clone()
    };
    let dial = Dial::new(&own, &EntityName::from("jurymast-check")).map_err(|error| error.to_string())?;
    dial.connect().await.map(drop).map_err(|lost| lost.reason)
}

/// A session.
pub struct Client {
    link: Link,
    cutter: Cutter,
    protocol: Protocol,
    ping_every: Duration,
    ping_at: Instant,
    number: u16,
}

impl Dial {
    /// By the settings, with the secrets and certificates as their files hold them now.
    pub fn new(settings: &Settings, agent: &EntityName) -> Result<Self, ClientError> {
        let (host, port, tls) = settings.address()?;
        let password = resolve(settings.password.as_ref(), settings.password_file.as_deref())?;
        let password = password.map_or_else(String::new, |password| password.expose().to_owned());
        let ping_every = settings.ping_every();
        let hello = Hello {
            client_id: settings
                .client_id
                .clone()
                .unwrap_or_else(|| format!("{agent}-{}", settings.name)),
            login: settings.username.clone().zip(Some(password)),
            keep_alive: ping_every,
        };
        Ok(Self {
            address: Address {
                host,
                port,
                tls: tls.then(|| settings.tls.client_config()).transpose()?,
            },
            hello: packets::connect(settings.protocol, &hello).map_err(ClientError::Hello)?,
            protocol: settings.protocol,
            limit: settings.max_payload,
            ping_every,
        })
    }

    /// Connects and waits until the broker lets us in.
    pub async fn connect(&self) -> Result<Client, Lost> {
        let late = Instant::now() + CONNECT_TIMEOUT;
        let link = tokio::time::timeout_at(late, Link::connect(&self.address))
            .await
            .map_err(|_| Lost {
                reach: Reach::Unreachable,
                reason: format!("no connection within {CONNECT_TIMEOUT:?}"),
                broken: false,
            })??;
        let mut client = Client {
            link,
            cutter: Cutter::new(self.protocol, self.limit),
            protocol: self.protocol,
            ping_every: self.ping_every,
            ping_at: Instant::now() + self.ping_every,
            number: 0,
        };
        client.link.write(&self.hello)?;
        tokio::time::timeout_at(late, client.enter()).await.map_err(|_| Lost {
            reach: Reach::NoAnswer,
            reason: format!("the broker took the connection and did not let us in within {CONNECT_TIMEOUT:?}"),
            broken: false,
        })??;
        Ok(client)
    }
}

impl Client {
    async fn enter(&mut self) -> Result<(), Lost> {
        loop {
            self.link.pump()?;
            match self.cutter.cut(self.link.input())? {
                Cut::Frame(Frame::Other(frame), taken) => {
                    let answer = packets::read(self.protocol, frame).map_err(|error| Lost::broken(&error))?;
                    self.link.take(taken);
                    return match answer {
                        Answer::Welcome { keep_alive } => {
                            if let Some(asked) = keep_alive {
                                self.ping_every = self.ping_every.min(asked / 2).max(Duration::from_millis(500));
                            }
                            self.ping_at = Instant::now() + self.ping_every;
                            Ok(())
                        }
                        Answer::Unwelcome(words, whose) => Err(Lost::of(whose.reach(words))),
                        _ => Err(Lost::broken("something else came before the answer to CONNECT")),
                    };
                }
                Cut::Frame(..) | Cut::Skipped(_) => {
                    return Err(Lost::broken("a message came before the answer to CONNECT"));
                }
                Cut::More(bytes) => self.link.make_room(bytes),
            }
            self.link.wait().await?;
        }
    }

    /// Waits until something may have come. Safe to be dropped and called again.
    pub async fn wait(&self) -> Result<(), Lost> {
        Ok(self.link.wait().await?)
    }

    /// Takes in whatever has come, without waiting, and hands it on in groups. True if anything has come.
    pub fn receive(&mut self, mut each: impl FnMut(&[Packet<'_>])) -> Result<bool, Lost> {
        let came = self.link.pump()?;
        loop {
            let (mut group, mut taken) = (Vec::with_capacity(GROUP), 0);
            let ended = loop {
                let input = self.link.input().get(taken..).unwrap_or_default();
                match self.cutter.cut(input) {
                    Ok(Cut::Frame(frame, bytes)) => {
                        taken += bytes;
                        match self.packet(frame) {
                            Ok(packet) => group.extend(packet),
                            Err(lost) => break Some(Err(lost)),
                        }
                    }
                    Ok(Cut::Skipped(bytes)) => taken += bytes,
                    Ok(Cut::More(bytes)) => break Some(Ok(bytes)),
                    Err(error) => break Some(Err(error.into())),
                }
                if group.len() == GROUP {
                    break None;
                }
            };
            // What came before the end of a session counts.
            each(&group);
            drop(group);
            self.link.take(taken);
            match ended {
                None => {}
                Some(Ok(bytes)) => {
                    self.link.make_room(bytes);
                    return Ok(came);
                }
                Some(Err(lost)) => return Err(lost),
            }
        }
    }

    fn packet<'a>(&self, frame: Frame<'a>) -> Result<Option<Packet<'a>>, Lost> {
        Ok(Some(match frame {
            Frame::Message(message) => Packet::Message(message),
            Frame::TooLong { message, bytes } => Packet::TooLong(message, bytes),
            Frame::Nameless { ack } => Packet::Nameless(ack),
            Frame::Other(frame) => match packets::read(self.protocol, frame).map_err(|error| Lost::broken(&error))? {
                Answer::Subscribed(refused) => Packet::Subscribed(refused),
                Answer::Unwelcome(words, whose) => return Err(Lost::of(whose.reach(words))),
                Answer::Welcome { .. } => return Err(Lost::broken("it lets us in twice")),
                Answer::Other => return Ok(None),
            },
        }))
    }

    /// Asks for subscriptions; the answer comes by [`Self::receive`].
    pub fn subscribe(&mut self, filters: &[(String, u8)]) -> Result<(), Lost> {
        self.number = self.number.checked_add(1).unwrap_or(1);
        let bytes = packets::subscribe(self.protocol, self.number, filters).map_err(|error| {
            Lost::of(Reach::Odd {
                detail: format!("cannot subscribe: {error}"),
            })
        })?;
        self.link.write(&bytes)?;
        Ok(self.link.flush()?)
    }

    /// When the broker is to be asked next whether it is there.
    pub const fn ping_at(&self) -> Instant {
        self.ping_at
    }

    /// Asks it.
    pub fn ping(&mut self) -> Result<(), Lost> {
        self.ping_at = Instant::now() + self.ping_every;
        self.link.write(&PING)?;
        Ok(self.link.flush()?)
    }

    /// Takes messages off the broker's hands.
    pub fn acknowledge(&mut self, numbers: &[u16]) -> Result<(), Lost> {
        for number in numbers {
            self.link.write(&packets::acknowledge(*number))?;
        }
        Ok(self.link.flush()?)
    }

    /// Naps between reads from now on, or is woken for each packet.
    pub fn rest(&mut self, rest: bool) -> Result<(), Lost> {
        Ok(self.link.rest(rest)?)
    }

    /// Says that the session is over, if that can be said at once.
    pub fn leave(mut self) {
        let _ = self.link.write(&GOODBYE).and_then(|()| self.link.flush());
    }
}

impl Lost {
    /// In words: what the reach says where it says something.
    fn of(reach: Reach) -> Self {
        let reason = match &reach {
            Reach::Odd { detail } | Reach::Failing { detail } => detail.clone(),
            other => format!("{other:?}"),
        };
        Self {
            reach,
            reason,
            broken: false,
        }
    }

    fn broken(what: &str) -> Self {
        let detail = format!("the broker breaks the protocol: {what}");
        Self {
            broken: true,
            ..Self::of(Reach::Odd { detail })
        }
    }
}

impl From<FrameError> for Lost {
    fn from(error: FrameError) -> Self {
        Self::broken(&error.to_string())
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        LinkError::from(error).into()
    }
}

impl From<LinkError> for Lost {
    fn from(error: LinkError) -> Self {
        let reason = error.to_string();
        let reach = match &error {
            LinkError::Closed => Reach::Refused,
            LinkError::Deaf => Reach::NoAnswer,
            LinkError::Tls(_) => Reach::Odd { detail: reason.clone() },
            LinkError::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => Reach::Refused,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Reach::Odd { detail: reason.clone() },
                _ => Reach::Unreachable,
            },
        };
        Self {
            reach,
            reason,
            broken: false,
        }
    }
}

/// A good session.
pub const fn good() -> Reach {
    Reach::Good { took: Span::millis(0) }
}
