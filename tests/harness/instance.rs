//! Instances of a service: threads that answer over HTTP, until they are ill or gone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    if let Ok(1..) = stream.read(&mut [0; 4096]) {
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(text.as_bytes());
    }
}

/// One that answers 200, or 503 while it is ill; at which port.
pub fn instance(body: &'static str, ill: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let ill = Arc::clone(&ill);
            std::thread::spawn(move || {
                let status = if ill.load(Ordering::SeqCst) {
                    "503 Ill"
                } else {
                    "200 OK"
                };
                answer(&mut stream, status, body);
            });
        }
    });
    port
}

/// One at that port that is gone, as a process would be, once `gone` is set.
pub fn mortal(port: u16, body: impl Into<String>, gone: Arc<AtomicBool>) {
    let (listener, body) = (TcpListener::bind(("127.0.0.1", port)).unwrap(), body.into());
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        while !gone.load(Ordering::SeqCst) {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let _ = stream.set_nonblocking(false);
            answer(&mut stream, "200 OK", &body);
        }
    });
}
