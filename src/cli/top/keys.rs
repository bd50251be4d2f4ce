//! What is typed.

use std::io::Read;
use std::sync::mpsc::Sender;

use super::News;

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Enter,
    /// Escape alone.
    Back,
    Letter(char),
}

/// Reads keys until nobody wants them any more.
pub fn read(news: Sender<News>) {
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut bytes = [0; 64];
        loop {
            let Ok(count @ 1..) = stdin.read(&mut bytes) else {
                // The terminal is gone.
                let _ = news.send(News::End);
                return;
            };
            for key in keys(bytes.get(..count).unwrap_or_default()) {
                if news.send(News::Key(key)).is_err() {
                    return;
                }
            }
        }
    });
}

/// The keys of what came at once: a terminal writes a key's whole sequence in one piece.
fn keys(mut bytes: &[u8]) -> Vec<Key> {
    const SEQUENCES: [(&[u8], Key); 6] = [
        (b"\x1b[A", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1bOA", Key::Up),
        (b"\x1bOB", Key::Down),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1b[6~", Key::PageDown),
    ];
    let mut found = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        if let Some((sequence, key)) = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
            found.push(*key);
            bytes = bytes.get(sequence.len()..).unwrap_or_default();
            continue;
        }
        match first {
            b'\r' | b'\n' => found.push(Key::Enter),
            // Ctrl-C: in raw mode it is a key.
            3 => found.push(Key::Letter('q')),
            0x1b if rest.is_empty() => found.push(Key::Back),
            // Some other key with a sequence of its own.
            0x1b => return found,
            b' ' => found.push(Key::PageDown),
            byte if byte.is_ascii_graphic() => found.push(Key::Letter(char::from(*byte))),
            _ => {}
        }
        bytes = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_keys_and_others_are_none() {
        assert_eq!(
            keys(b"\x1b[A\x1bOBk\r"),
            [Key::Up, Key::Down, Key::Letter('k'), Key::Enter]
        );
        assert_eq!(keys(b"\x1b"), [Key::Back]);
        assert_eq!(keys(b"\x1b[1;5Cq"), []);
        assert_eq!(keys(b"\x03"), [Key::Letter('q')]);
    }
}
