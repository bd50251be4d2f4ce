//! Child processes of the plant: this very program under another name. They end with us, whatever happens.

use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// A running child. Killed when dropped; ends by itself when our end of its stdin closes.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts this program with those arguments.
    pub fn start(args: &[String]) -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }

    /// SIGKILL, and wait until it is gone.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// SIGSTOP: it lives and does nothing; its sockets stay open.
    pub async fn freeze(&self) {
        if let Some(id) = self.child.id() {
            // By kill(1): sending a signal to another process has no safe call in the standard library.
            let _ = Command::new("kill").args(["-STOP", &id.to_string()]).status().await;
        }
    }

    /// True once it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}
