//! The socket to a broker: bytes in, bytes out, plain or by TLS, and no wake-up that can be saved.
//!
//! Watched, the runtime wakes us for whatever arrives. A broker writes one packet at a time, though, and waking for each costs several
//! times what reading it does. So a busy link rests: its socket is taken out of the runtime's watch, and read after each nap.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::Interest;
use tokio::net::{TcpStream, lookup_host};

/// Read at once. A longer packet makes the room for itself, up to its limit, and gives it back.
const ROOM: usize = 64 << 10;

/// Written and not taken by the broker yet: acknowledgements and pings. One that takes none is not listening.
const OUTPUT_MAX: usize = 1 << 20;

/// A busy link is read this often. The clock of the runtime makes 11.5 to 12.5 ms of it, so that a message waits for 6 ms in the mean. Waking,
/// with all that a tick of the engine does once, costs as much as reading fifty messages.
const NAP: Duration = Duration::from_micros(11_500);

/// Where a broker is.
pub struct Address {
    /// Its host, by name or number.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is secured, if it is.
    pub tls: Option<Arc<ClientConfig>>,
}

/// The end of a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The way there.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The broker closed the connection.
    #[error("the broker closed the connection")]
    Closed,
    /// TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// It does not read.
    #[error("the broker does not take what we write: {OUTPUT_MAX} bytes wait")]
    Deaf,
}

/// See the module.
pub struct Link {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    room: Vec<u8>,
    /// What of the room has been read and not been taken.
    filled: std::ops::Range<usize>,
    output: Vec<u8>,
    /// The room was filled to its end: there is more.
    more: bool,
    /// Found out while something was read; told when that has been taken.
    failed: Option<LinkError>,
}

enum Socket {
    Watched(TcpStream),
    Resting(std::net::TcpStream),
    /// It could not go from one to the other.
    Lost,
}

impl Link {
    /// Connects. The handshake of TLS goes on while the first packets are exchanged.
    pub async fn connect(address: &Address) -> Result<Self, LinkError> {
        let stream = open(&address.host, address.port).await?;
        stream.set_nodelay(true)?;
        let tls = match &address.tls {
            Some(config) => {
                let name = ServerName::try_from(address.host.clone())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        Ok(Self {
            socket: Socket::Watched(stream),
            tls,
            room: vec![0; ROOM],
            filled: 0..0,
            output: Vec::new(),
            more: false,
            failed: None,
        })
    }

    /// Waits until there may be something to do. Safe to be dropped and called again.
    pub async fn wait(&self) -> io::Result<()> {
        let writes = !self.output.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        match &self.socket {
            _ if self.more || self.failed.is_some() => tokio::task::yield_now().await,
            Socket::Watched(stream) if writes => drop(stream.ready(Interest::READABLE | Interest::WRITABLE).await?),
            Socket::Watched(stream) => stream.readable().await?,
            Socket::Resting(_) => tokio::time::sleep(NAP).await,
            Socket::Lost => {}
        }
        Ok(())
    }

    /// Rests from now on, or is watched.
    pub fn rest(&mut self, rest: bool) -> Result<(), LinkError> {
        if rest == matches!(self.socket, Socket::Resting(_)) {
            return Ok(());
        }
        self.socket = match std::mem::replace(&mut self.socket, Socket::Lost) {
            Socket::Watched(stream) => Socket::Resting(stream.into_std()?),
            Socket::Resting(stream) => Socket::Watched(TcpStream::from_std(stream)?),
            Socket::Lost => Socket::Lost,
        };
        Ok(())
    }

    /// What has been read and not been taken.
    pub fn input(&self) -> &[u8] {
        &self.room[self.filled.clone()]
    }

    /// Takes so many bytes of the input away.
    pub fn take(&mut self, bytes: usize) {
        self.filled.start = (self.filled.start + bytes).min(self.filled.end);
        if self.filled.is_empty() {
            self.filled = 0..0;
            if self.room.len() > ROOM {
                self.room = vec![0; ROOM];
            }
        }
    }

    /// Makes room for an input of so many bytes.
    pub fn make_room(&mut self, bytes: usize) {
        if self.filled.start > 0 {
            self.room.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        if bytes > self.room.len() {
            self.room.resize(bytes, 0);
        }
    }

    /// Writes these bytes, now or when the broker takes them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if self.output.len() + bytes.len() > OUTPUT_MAX {
            return Err(LinkError::Deaf);
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what waits to be written, as far as that can be done at once.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        let mut written = 0;
        let ended = match &mut self.tls {
            Some(tls) => loop {
                written += tls.writer().write(&self.output[written..])?;
                match tls.write_tls(&mut self.socket) {
                    _ if !tls.wants_write() && written == self.output.len() => break Ok(()),
                    // Before the handshake is through, no more than its own buffer is taken.
                    Ok(0) => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break later(error),
                }
            },
            None => loop {
                if written == self.output.len() {
                    break Ok(());
                }
                match self.socket.write(&self.output[written..]) {
                    Ok(0) => break Err(LinkError::Closed),
                    Ok(bytes) => written += bytes,
                    Err(error) => break later(error),
                }
            },
        };
        self.output.drain(..written);
        ended
    }

    /// Writes what waits and reads what is there. True if anything came.
    pub fn pump(&mut self) -> Result<bool, LinkError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.flush()?;
        if self.filled.end == self.room.len() {
            self.make_room(0);
        }
        let came = self.filled.end;
        if let Err(error) = self.read() {
            if self.filled.end == came {
                return Err(error);
            }
            self.failed = Some(error);
        }
        self.more = self.filled.end == self.room.len();
        Ok(self.filled.end > came)
    }

    fn read(&mut self) -> Result<(), LinkError> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(&mut self.room[self.filled.end..]) {
                Ok(0) if self.filled.end < self.room.len() => Err(LinkError::Closed),
                Ok(bytes) => {
                    self.filled.end += bytes;
                    Ok(())
                }
                Err(error) => later(error),
            };
        };
        loop {
            match tls.reader().read(&mut self.room[self.filled.end..]) {
                Ok(_) if self.filled.end == self.room.len() => return Ok(()),
                Ok(0) => return Err(LinkError::Closed),
                Ok(bytes) => {
                    self.filled.end += bytes;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(_) => {
                    if let Err(error) = tls.process_new_packets() {
                        // The peer is told why, if it still listens.
                        let _ = tls.write_tls(&mut self.socket);
                        return Err(error.into());
                    }
                    if tls.wants_write()
                        && let Err(error) = tls.write_tls(&mut self.socket)
                    {
                        later(error)?;
                    }
                }
                Err(error) => return later(error),
            }
        }
    }
}

/// What could not be done at once is done later.
fn later(error: io::Error) -> Result<(), LinkError> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error.into()),
    }
}

/// Tries one address after the other.
async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl io::Read for Socket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Watched(stream) => stream.try_read(room),
            Self::Resting(stream) => stream.read(room),
            Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl io::Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Watched(stream) => stream.try_write(bytes),
            Self::Resting(stream) => stream.write(bytes),
            Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
