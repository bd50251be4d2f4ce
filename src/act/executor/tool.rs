//! What executors share that work by programs: here or on another host by `ssh`, as this user or another, with the step's ticket as stdin.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Call;
use super::ticket::Tickets;
use crate::client::program::{Ended, Program, Stdin, argv, quoted};

/// `ssh` ends so if it could not connect, or lost the connection.
const SSH_LOST: i32 = 255;

/// Where and as whom programs run. Nothing said: here, as this user.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// `user@host`; here if empty.
    pub ssh: String,
    /// Further options of `ssh`.
    pub ssh_options: Vec<String>,
    /// The system user that the programs run as, by `runuser`, which only root may; the user we are if empty.
    pub user: String,
}

impl Place {
    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), String> {
        // An address that begins with a dash would be an option.
        if self.ssh.starts_with('-') || self.user.starts_with('-') {
            return Err(format!("'{}{}' is no host and no user", self.ssh, self.user));
        }
        Ok(())
    }

    /// The command as it is run here.
    pub fn command(&self, command: &[String]) -> Vec<String> {
        let mut there = Vec::new();
        if !self.user.is_empty() {
            there.extend(argv(["runuser", "-u", &self.user, "--"]));
        }
        there.extend_from_slice(command);
        if self.ssh.is_empty() {
            return there;
        }
        let mut here = argv(["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]);
        here.extend_from_slice(&self.ssh_options);
        here.extend([self.ssh.clone(), quoted(&there)]);
        here
    }

    /// Which host that is, for a person.
    pub fn host(&self) -> &str {
        if self.ssh.is_empty() { "this host" } else { &self.ssh }
    }

    /// What is begun on this machine for a program there.
    pub fn begins(&self, program: &str) -> Vec<String> {
        if !self.ssh.is_empty() {
            return vec!["ssh".into()];
        }
        let first = (!self.user.is_empty()).then(|| "runuser".to_owned());
        first.into_iter().chain([program.to_owned()]).collect()
    }

    /// What the programs may still do over there when the connection is lost is not known.
    pub fn is_lost(&self, ended: &Ended) -> bool {
        !self.ssh.is_empty() && matches!(ended, Ended::Exited { code: SSH_LOST, .. })
    }
}

/// Runs programs for executors.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    tickets: Tickets,
}

impl Tools {
    /// With stdin of running programs in that folder.
    pub const fn new(tickets: Tickets) -> Self {
        Self { tickets }
    }

    /// Runs a program that may have an effect. A program of the same key of an earlier run must have ended.
    pub async fn run(&self, call: &Call<'_>, command: &[String], text: &str) -> Ended {
        self.run_with(call, command, text, Vec::new(), &[]).await
    }

    /// The same, with variables.
    pub async fn run_with(
        &self,
        call: &Call<'_>,
        command: &[String],
        text: &str,
        mut env: Vec<(String, String)>,
        pass: &[&str],
    ) -> Ended {
        let stdin = match self.tickets.take(call.key, text) {
            Err(why) => return Ended::NotStarted(why),
            Ok(Some(file)) => Stdin::File(file),
            Ok(None) => Stdin::Text(text.to_owned()),
        };
        env.extend(said_of(call));
        let pass = [pass, &["SSH_"]].concat();
        let program = Program {
            argv: command,
            env,
            pass: &pass,
            stdin,
            limit: call.timeout,
        };
        let begun = Instant::now();
        let ended = program.run().await;
        tracing::debug!(plan = %call.plan, key = call.key, took = ?begun.elapsed(), "{}", command.join(" "));
        self.tickets.done(call.key);
        ended
    }

    /// Runs a program that only looks.
    pub async fn look(&self, command: &[String], limit: Duration) -> Ended {
        let program = Program {
            argv: command,
            env: Vec::new(),
            pass: &["SSH_", "PG", "RESTIC_", "BORG_", "AWS_", "DOCKER_"],
            stdin: Stdin::Nothing,
            limit,
        };
        program.run().await
    }

    /// Waits until no program of an earlier run of the same step runs any more.
    pub async fn settle(&self, call: &Call<'_>) -> Result<(), String> {
        self.tickets.settle(call.key, call.timeout).await
    }
}

/// Who says so, as variables for programs.
pub fn said_of(call: &Call<'_>) -> [(String, String); 5] {
    let token = call.token;
    [
        ("JURYMAST_PLAN", call.plan.to_string()),
        ("JURYMAST_TOKEN", token.to_string()),
        ("JURYMAST_EPOCH", token.epoch.to_string()),
        ("JURYMAST_SEQ", token.seq.to_string()),
        ("JURYMAST_KEY", call.key.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_user_is_the_one_over_there() {
        let place = Place {
            ssh: "root@db-a".into(),
            ssh_options: argv(["-p", "22"]),
            user: "postgres".into(),
        };
        let command = place.command(&argv(["pg_ctl", "it's"]));
        assert_eq!(
            command.last().unwrap(),
            "'runuser' '-u' 'postgres' '--' 'pg_ctl' 'it'\\''s'"
        );
        assert_eq!(command[command.len() - 4..command.len() - 1], ["-p", "22", "root@db-a"]);
        assert_eq!(Place::default().command(&argv(["x"])), ["x"]);
        let odd = Place {
            ssh: "-oProxyCommand=x".into(),
            ..Place::default()
        };
        assert!(odd.check().is_err());
    }
}
