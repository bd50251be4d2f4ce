//! `PostgreSQL` by `psql`: all that libpq knows (services, pass files, TLS, sockets) holds here as well, and no password stands in a config.
//!
//! A script gets values as variables of `psql`, which quotes them; none is pasted into SQL.

use std::sync::OnceLock;
use std::time::Duration;

use super::program::{Ended, Program, Stdin, argv};

/// The first line that every script prints: without it there was no connection.
const CONNECTED: &str = "connected";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// There was no connection: nothing was done.
    NoConnection(String),
    /// The server refused a statement. Those before it are done.
    Refused(String),
    /// The connection or our patience ended in the middle of it.
    Lost(String),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NoConnection(why) | Self::Refused(why) | Self::Lost(why)) = self;
        f.write_str(why)
    }
}

/// Finds what must not stand in a connection string.
pub fn check(dsn: &str) -> Result<(), String> {
    if dsn.trim().is_empty() {
        return Err("dsn is empty: host=… port=… dbname=… user=…".into());
    }
    let uri = dsn.starts_with("postgres://") || dsn.starts_with("postgresql://");
    let uri_password = uri
        && dsn
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .is_some_and(|(user, _)| user.contains(':'));
    if uri_password || dsn.contains("password=") {
        return Err(
            "dsn holds a password, which every process could read: put it into ~/.pgpass, PGPASSFILE or a service file"
                .into(),
        );
    }
    Ok(())
}

/// The text that `psql` is to read on stdin.
pub fn script(sql: &str) -> String {
    format!("\\echo {CONNECTED}\n{sql}\n")
}

/// Does it say which server it means?
fn names_its_server(dsn: &str) -> bool {
    let host = |word: &str| {
        let value = word.strip_prefix("host=").or_else(|| word.strip_prefix("hostaddr="));
        value.is_some_and(|value| !value.trim_matches('\'').is_empty())
    };
    place(dsn).is_some() || dsn.split_whitespace().any(host)
}

/// What Debian's `psql` would start. By itself that is a script, which finds out what server of this machine is meant, and takes ten times as long to begin as the
/// program itself: a second on a machine that is short of processors.
fn behind_the_script() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let path = std::env::var_os("PATH")?;
        let first = std::env::split_paths(&path)
            .map(|dir| dir.join("psql"))
            .find(|file| file.is_file())?;
        if first.canonicalize().ok()?.file_name()? != "pg_wrapper" {
            return None;
        }
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let numbered = versions.filter_map(|version| {
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            let file = version.path().join("bin/psql");
            file.is_file().then_some((number, file))
        });
        let (_, newest) = numbered.max()?;
        newest.to_str().map(str::to_owned)
    });
    found.as_deref()
}

fn program(dsn: &str) -> &'static str {
    let direct = if names_its_server(dsn) {
        behind_the_script()
    } else {
        None
    };
    direct.unwrap_or("psql")
}

/// The command that runs a script from stdin.
pub fn command(dsn: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = argv([program(dsn), "-X", "-q", "-A", "-t", "-F", "|", "-v", "ON_ERROR_STOP=1"]);
    for (name, value) in variables {
        command.extend(["-v".to_owned(), format!("{name}={value}")]);
    }
    command.extend(["-f".to_owned(), "-".to_owned(), "-d".to_owned(), dsn.to_owned()]);
    command
}

/// Variables for `psql`: how long it may try to connect, and who it says it is.
pub fn environment(limit: Duration, who: &str) -> Vec<(String, String)> {
    // libpq takes whole seconds, and 1 as 2.
    let seconds = limit.as_secs().clamp(2, 60);
    vec![
        ("PGCONNECT_TIMEOUT".into(), seconds.to_string()),
        ("PGAPPNAME".into(), who.to_owned()),
        ("PGOPTIONS".into(), "-c client_min_messages=warning".into()),
    ]
}

/// What came of a script.
pub fn answer(ended: Ended) -> Result<String, Failed> {
    match ended {
        Ended::Exited { code, out, said } => {
            let Some((_, rest)) = out.split_once(CONNECTED) else {
                return Err(Failed::NoConnection(first_line(&said)));
            };
            match code {
                0 => Ok(rest.trim().to_owned()),
                3 => Err(Failed::Refused(first_line(&said))),
                _ => Err(Failed::Lost(first_line(&said))),
            }
        }
        Ended::NotStarted(why) => Err(Failed::NoConnection(why)),
        Ended::Killed(why) => Err(Failed::Lost(why)),
    }
}

fn first_line(said: &str) -> String {
    said.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("psql:<stdin>:")
        .to_owned()
}

/// Asks: runs a script whose effect, if it had one, does not matter.
pub async fn ask(dsn: &str, variables: &[(&str, &str)], sql: &str, limit: Duration) -> Result<String, Failed> {
    let program = Program {
        argv: &command(dsn, variables),
        env: environment(limit, "jurymast"),
        pass: &["PG"],
        stdin: Stdin::Text(script(sql)),
        limit,
    };
    answer(program.run().await)
}

/// Where the server of a connection string is, as far as it says so: host, or folder of its socket, and port.
pub fn place(dsn: &str) -> Option<(String, u16)> {
    let uri = dsn
        .strip_prefix("postgresql://")
        .or_else(|| dsn.strip_prefix("postgres://"));
    let (host, port) = match uri {
        Some(rest) => {
            let rest = rest.split(['/', '?']).next().unwrap_or_default();
            let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
            match address.rsplit_once(':') {
                Some((host, port)) => (host.to_owned(), port.to_owned()),
                None => (address.to_owned(), "5432".to_owned()),
            }
        }
        None => {
            let value = |name: &str| {
                dsn.split_whitespace()
                    .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
                    .map(|value| value.trim_matches('\'').to_owned())
            };
            let host = value("hostaddr").or_else(|| value("host"))?;
            (host, value("port").unwrap_or_else(|| "5432".into()))
        }
    };
    // Of several hosts none is the place.
    if host.is_empty() || host.contains(',') {
        return None;
    }
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_belong_here() {
        assert!(check("host=a user=b").is_ok());
        assert!(check("postgresql://b@a:5432/x").is_ok());
        assert!(check("host=a password=x").is_err());
        assert!(check("postgresql://b:x@a/").is_err());
        assert!(check(" ").is_err());
    }

    #[test]
    fn what_was_not_connected_has_done_nothing() {
        let exited = |code, out: &str, said: &str| Ended::Exited {
            code,
            out: out.into(),
            said: said.into(),
        };
        assert_eq!(answer(exited(0, "connected\na|b\n", "")), Ok("a|b".into()));
        assert!(matches!(
            answer(exited(2, "", "psql: error: refused")),
            Err(Failed::NoConnection(_))
        ));
        // The same exit code, but after the script had begun.
        assert!(matches!(
            answer(exited(2, "connected\n", "server closed")),
            Err(Failed::Lost(_))
        ));
        assert!(matches!(
            answer(exited(3, "connected\n", "ERROR: no")),
            Err(Failed::Refused(_))
        ));
        assert!(matches!(answer(Ended::Killed("late".into())), Err(Failed::Lost(_))));
    }

    #[test]
    fn only_a_string_that_names_its_server_needs_nobody_to_find_it() {
        for dsn in [
            "host=a",
            "port=1 hostaddr='::1'",
            "host=a,b port=1,2",
            "host=/run/postgresql",
            "postgresql://u@db/x",
        ] {
            assert!(names_its_server(dsn), "{dsn}");
        }
        for dsn in ["service=app", "dbname=x port=5433", "host= dbname=x", "postgresql:///x"] {
            assert!(!names_its_server(dsn), "{dsn}");
            assert_eq!(program(dsn), "psql", "{dsn}");
        }
    }

    #[test]
    fn the_place_is_read_from_either_form() {
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(place("host=10.0.0.1 port=5433 user=x"), at("10.0.0.1", 5433));
        assert_eq!(place("postgresql://u@db:6000/app?sslmode=require"), at("db", 6000));
        assert_eq!(place("postgresql://db"), at("db", 5432));
        assert_eq!(place("service=app"), None);
        assert_eq!(place("host=a,b"), None);
    }
}
