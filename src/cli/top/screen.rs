//! The terminal: raw, on its other page, and as it was when this ends.

use std::io::Write;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::line::Line;
use crate::cli::colour;

/// A terminal that is drawn on.
pub struct Screen {
    before: Termios,
}

impl Screen {
    /// Takes the terminal over.
    pub fn open() -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        let screen = Self { before };
        Self::write("\x1b[?1049h\x1b[?25l");
        Ok(screen)
    }

    /// Draws a picture: every line of it, and nothing of the one before.
    #[allow(clippy::unused_self, reason = "only whoever has taken the terminal over draws on it")]
    pub fn show(&mut self, lines: &[Line], width: usize) {
        let mut out = String::from("\x1b[H");
        for (place, line) in lines.iter().enumerate() {
            if place > 0 {
                out += "\r\n";
            }
            out += &line.painted(width, colour());
            out += "\x1b[K";
        }
        out += "\x1b[J";
        Self::write(&out);
    }

    fn write(text: &str) {
        let mut stdout = std::io::stdout().lock();
        // A terminal that is gone is found out by the keys.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        Self::write("\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Columns and lines.
pub fn size() -> (usize, usize) {
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}
