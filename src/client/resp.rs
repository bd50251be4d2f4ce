//! Redis (and Sentinel) by RESP2: a connection for a few commands, bounded answers.
//!
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::net::{Tls, named};

/// A longer line or text is an error.
const TEXT_MAX: usize = 4 << 20;

/// So many values in one list, and lists in lists so deep.
const LIST_MAX: usize = 4096;
const DEPTH_MAX: usize = 8;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A word or a text.
    Text(String),
    /// A number.
    Number(i64),
    /// Nothing.
    Nil,
    /// Several.
    List(Vec<Reply>),
    /// A refusal by the server.
    Error(String),
}

impl Reply {
    /// Its text; `Err` is what the server says, or what it is instead.
    pub fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Number(number) => Ok(number.to_string()),
            Self::Error(error) => Err(error),
            Self::Nil => Err("no value".into()),
            Self::List(_) => Err("a list".into()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// There was no connection: nothing was sent.
    NoConnection(io::Error),
    /// The connection or our patience ended after something was sent.
    Lost(io::Error),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NoConnection(error) | Self::Lost(error)) = self;
        error.fmt(f)
    }
}

/// Credentials: a user, and the file of the password; certificates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// The user of an ACL; the default user if empty.
    pub user: &'a str,
    /// The file that holds the password; none if it is empty.
    pub password_file: Option<&'a Path>,
    /// For `rediss://`: certificates.
    pub tls: Option<&'a Tls>,
}

impl<'a> Login<'a> {
    /// As executors, probes and sources are told of it.
    pub fn of(user: &'a str, password_file: Option<&'a PathBuf>, tls: &'a Tls) -> Self {
        Self {
            user,
            password_file: password_file.map(PathBuf::as_path),
            tls: Some(tls),
        }
    }

    /// Finds what cannot be followed of it and of an address.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let address = Address::parse(text)?;
        self.tls.map_or(Ok(()), |tls| tls.check(address.secure, SECURE))
    }
}

/// What the address of a server that speaks TLS begins with.
const SECURE: &str = "rediss://";

/// Where a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// `host:port`.
    pub place: &'a str,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// TLS is spoken.
    pub secure: bool,
}

impl<'a> Address<'a> {
    /// Reads `host:port`, or `rediss://host:port` for TLS.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let (place, secure) = match text.strip_prefix(SECURE) {
            Some(place) => (place, true),
            None => (text, false),
        };
        let (host, port) = place
            .rsplit_once(':')
            .ok_or_else(|| format!("'{text}' is not host:port"))?;
        let port = port.parse().map_err(|_| format!("'{port}' is not a port"))?;
        Ok(Self {
            place,
            host,
            port,
            secure,
        })
    }
}

/// What commands go through.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    until: Instant,
}

impl Connection {
    async fn connect(address: &str, login: &Login<'_>) -> io::Result<Box<dyn Stream>> {
        let address = Address::parse(address).map_err(io::Error::other)?;
        let stream = TcpStream::connect(address.place).await?;
        let _ = stream.set_nodelay(true);
        crate::net::send_nothing_later(&stream);
        if !address.secure {
            return Ok(Box::new(stream));
        }
        let tls = login.tls.cloned().unwrap_or_default();
        let config = tls.client_config().map_err(io::Error::other)?;
        let host = address.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
    }

    /// Connects and logs in. All that is done on it ends within `limit`.
    pub async fn open(address: &str, login: &Login<'_>, limit: Duration) -> Result<Self, Failed> {
        let until = Instant::now() + limit;
        let late = |_| Failed::NoConnection(io::ErrorKind::TimedOut.into());
        let stream = timeout_at(until, Self::connect(address, login))
            .await
            .map_err(late)?
            .map_err(Failed::NoConnection)?;
        let mut connection = Self {
            stream: BufReader::new(stream),
            until,
        };
        if let Some(file) = named(login.password_file) {
            let password = std::fs::read_to_string(file)
                .map_err(|error| Failed::NoConnection(io::Error::other(format!("{}: {error}", file.display()))))?;
            let password = password.trim_end();
            let words = if login.user.is_empty() {
                vec!["AUTH", password]
            } else {
                vec!["AUTH", login.user, password]
            };
            let answer = connection.command(&words).await.map_err(|failed| match failed {
                Failed::NoConnection(error) | Failed::Lost(error) => Failed::NoConnection(error),
            })?;
            if let Reply::Error(error) = answer {
                return Err(Failed::NoConnection(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    error,
                )));
            }
        }
        Ok(connection)
    }

    /// One command and its answer.
    pub async fn command(&mut self, words: &[&str]) -> Result<Reply, Failed> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        let until = self.until;
        let work = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await?;
            self.reply(0).await
        };
        match timeout_at(until, work).await {
            Ok(reply) => reply.map_err(Failed::Lost),
            Err(_) => Err(Failed::Lost(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let read = (&mut self.stream)
            .take(TEXT_MAX as u64)
            .read_until(b'\n', &mut bytes)
            .await?;
        if read == 0 || bytes.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn reply(&mut self, depth: usize) -> io::Result<Reply> {
        let line = self.line().await?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "not an answer of Redis");
        let mut chars = line.chars();
        let (sort, rest) = (chars.next().ok_or_else(odd)?, chars.as_str());
        let length = || rest.parse::<i64>().map_err(|_| odd());
        Ok(match sort {
            '+' => Reply::Text(rest.to_owned()),
            '-' => Reply::Error(rest.to_owned()),
            ':' => Reply::Number(length()?),
            '$' => match usize::try_from(length()?) {
                Err(_) => Reply::Nil,
                Ok(length) if length > TEXT_MAX => return Err(odd()),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
                }
            },
            '*' => match usize::try_from(length()?) {
                Err(_) => Reply::Nil,
                Ok(length) if length > LIST_MAX || depth >= DEPTH_MAX => return Err(odd()),
                Ok(length) => {
                    let mut list = Vec::new();
                    for _ in 0..length {
                        list.push(Box::pin(self.reply(depth + 1)).await?);
                    }
                    Reply::List(list)
                }
            },
            _ => return Err(odd()),
        })
    }
}

/// The value of a line `name:value` of `INFO`.
pub fn info<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(bytes: &'static [u8]) -> Result<Reply, Failed> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 64];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(bytes).await;
        });
        let mut connection = Connection::open(&address, &Login::default(), Duration::from_secs(20)).await?;
        connection.command(&["ROLE"]).await
    }

    #[tokio::test]
    async fn every_sort_of_answer_is_read() {
        let reply = answered(b"*5\r\n+OK\r\n:-7\r\n$3\r\na\nb\r\n$-1\r\n*1\r\n-ERR no\r\n")
            .await
            .unwrap();
        let expected = Reply::List(vec![
            Reply::Text("OK".into()),
            Reply::Number(-7),
            Reply::Text("a\nb".into()),
            Reply::Nil,
            Reply::List(vec![Reply::Error("ERR no".into())]),
        ]);
        assert_eq!(reply, expected);
    }

    #[tokio::test]
    async fn what_is_cut_off_or_no_answer_at_all_is_an_error() {
        for bytes in [&b"$10\r\nabc"[..], b"", b"hello\r\n", b"$99999999999\r\n", b"*-x\r\n"] {
            assert!(matches!(answered(bytes).await, Err(Failed::Lost(_))), "{bytes:?}");
        }
    }

    #[test]
    fn info_is_read_by_name() {
        let text = "# Replication\r\nrole:master\r\nmaster_repl_offset:12\r\n";
        assert_eq!(info(text, "role"), Some("master"));
        assert_eq!(info(text, "master_repl"), None);
    }
}
