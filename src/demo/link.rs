//! Lines between the parts of the plant: they can be cut, so that connections hang as they do behind a dead host or a dead switch.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// A listener on that port of the loopback, with so long a queue.
pub fn listen(port: u16, backlog: u32) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(backlog)
}

/// A free port of the loopback, told once by this process. It lies below those that systems give to outgoing connections: while its server is away,
/// no such connection takes its place, and nobody who tries to reach it can meet himself (RFC 9293, simultaneous open).
pub fn free_port() -> io::Result<u16> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static TOLD: AtomicU16 = AtomicU16::new(0);
    // Programs that run beside one another begin at different places.
    let start = (std::process::id().wrapping_mul(7_919) % u32::from(COUNT)) as u16;
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..COUNT {
        let next = TOLD.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + next) % COUNT;
        match std::net::TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A port on which connections are neither taken nor refused: a listener whose queue is full. Whoever tries waits for an answer that never comes.
pub struct Hole {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
    _trying: Vec<tokio::task::JoinHandle<()>>,
}

impl Hole {
    /// Opens one on that port, which must be free.
    pub async fn open(port: u16) -> io::Result<Self> {
        let listener = listen(port, 1)?;
        let mut queue = Vec::new();
        // A queue of one takes two; the kernel drops what comes after.
        for _ in 0..8 {
            let connect = TcpStream::connect(("127.0.0.1", port));
            match tokio::time::timeout(std::time::Duration::from_millis(50), connect).await {
                Ok(Ok(stream)) => queue.push(stream),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(Self {
            _listener: listener,
            _queue: queue,
            _trying: Vec::new(),
        })
    }
}

/// A line to a port: whoever connects to its own port is connected through, until it is cut.
pub struct Line {
    port: u16,
    open: CancellationToken,
    hole: Arc<Mutex<Option<Hole>>>,
}

impl Line {
    /// A line to that port of the loopback.
    pub fn to(target: u16) -> io::Result<Self> {
        let listener = listen(0, 1024)?;
        let port = listener.local_addr()?.port();
        let open = CancellationToken::new();
        tokio::spawn(pass(listener, target, open.clone()));
        Ok(Self {
            port,
            open,
            hole: Arc::default(),
        })
    }

    /// Where it begins.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it: connections that stand carry nothing any more and are not closed; new ones hang.
    pub async fn cut(&self) {
        self.open.cancel();
        // The listener's task drops it at once; the port is free then.
        for _ in 0..50 {
            if let Ok(hole) = Hole::open(self.port).await {
                *self.hole.lock().unwrap_or_else(PoisonError::into_inner) = Some(hole);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

async fn pass(listener: TcpListener, target: u16, open: CancellationToken) {
    loop {
        tokio::select! {
            () = open.cancelled() => return,
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                let open = open.clone();
                tokio::spawn(async move { carry(near, target, open).await });
            }
        }
    }
}

async fn carry(mut near: TcpStream, target: u16, open: CancellationToken) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let cut = {
        tokio::select! {
            () = open.cancelled() => true,
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => false,
        }
    };
    if cut {
        // Both ends stay open, and nothing passes, as with a cut cable.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_cut_line_neither_takes_nor_refuses() {
        let target = listen(0, 16).unwrap();
        let line = Line::to(target.local_addr().unwrap().port()).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", line.port())).await.is_ok());
        line.cut().await;
        let connect = TcpStream::connect(("127.0.0.1", line.port()));
        assert!(tokio::time::timeout(Duration::from_millis(300), connect).await.is_err());
    }
}
