//! A way to a server that can be cut: whatever is sent on it is dropped then, and nobody is told.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module.
pub struct Way {
    /// Where it begins.
    pub port: u16,
    cut: Arc<AtomicBool>,
}

impl Way {
    /// To that port of this machine.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let (Ok(other_near), Ok(other_far)) = (near.try_clone(), far.try_clone()) else {
                    continue;
                };
                let (there, back) = (Arc::clone(&is_cut), Arc::clone(&is_cut));
                std::thread::spawn(move || carry(near, other_far, &there));
                std::thread::spawn(move || carry(far, other_near, &back));
            }
        });
        Self { port, cut }
    }

    /// Nothing gets through from now on.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// It is as before; what was dropped is lost, and so are the connections that it was dropped from.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let (mut buffer, mut dropped) = ([0; 16_384], false);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        dropped |= cut.load(Ordering::SeqCst);
        if cut.load(Ordering::SeqCst) {
            continue;
        }
        if dropped || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // An end is not told either while it is cut: the other side waits until its patience ends.
    if !cut.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
