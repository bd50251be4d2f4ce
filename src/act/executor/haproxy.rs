//! `HAProxy` by its runtime socket: the administrative state of one server of one backend.
//!
//! The token is kept in `HAProxy` itself, in the process variable `proc.jurymast_BACKEND`: a command whose token is lower than what is there is
//! not given, and the config may show it, as in `http-response set-header Jurymast-Token %[var(proc.jurymast_BACKEND)]`. A `HAProxy`
//! that knows no variables on its socket (before 2.5) is commanded without one. To set it takes `experimental-mode on` for that one
//! line, which `show info` tells as `Tainted` from then on.
//!
//! <https://docs.haproxy.org/2.6/management.html#9.3>, `set server`, `show servers state`, `get var`, `set var`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::model::Token;

/// An answer of `HAProxy` longer than this is cut off.
const ANSWER_MAX: u64 = 1 << 20;

/// See the module.
pub struct Haproxy;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// A path, or `host:port`.
    socket: String,
    backend: String,
    server: String,
    state: State,
    #[serde(default)]
    absent: Absent,
}

/// Whether a server that the backend does not have is as good as one that is kept out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Absent {
    #[default]
    Wrong,
    Ok,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Also `failback` and `drill_back`, so that a playbook may say `{kind}`: it stays in where another one comes back.
    #[serde(alias = "failback", alias = "drill_back")]
    Ready,
    /// Also `failover` and `drill`.
    #[serde(alias = "failover", alias = "drill")]
    Drain,
    Maint,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl With {
    fn may_be_absent(&self) -> bool {
        self.absent == Absent::Ok && self.state == State::Maint
    }

    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        for name in [&with.backend, &with.server] {
            let sane = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            if name.is_empty() || !name.chars().all(sane) {
                return Err(format!(
                    "'{name}' is not a name that HAProxy takes: letters, digits and -_.: only"
                ));
            }
        }
        Ok(with)
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, command: &str) -> std::io::Result<String> {
    stream.write_all(command.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// `Err((sent, why))`: whether the command may have arrived, and why there is no answer.
async fn command(call: &Call<'_>, with: &With, command: &str) -> Result<String, (bool, String)> {
    ask(&with.socket, command, call.timeout).await
}

/// Gives a command to the socket, a path or `host:port`, and reads the answer. `Err((sent, why))` as above.
pub async fn ask(socket: &str, command: &str, within: Duration) -> Result<String, (bool, String)> {
    let command = format!("{command}\n");
    let connect = async {
        // A name without a port is a file in the folder that the agent was started in.
        if socket.contains('/') || !socket.contains(':') {
            let stream = tokio::net::UnixStream::connect(socket)
                .await
                .map_err(|e| (false, e.to_string()))?;
            talk(stream, &command).await.map_err(|e| (true, e.to_string()))
        } else {
            let stream = tokio::net::TcpStream::connect(socket)
                .await
                .map_err(|e| (false, e.to_string()))?;
            crate::net::send_nothing_later(&stream);
            talk(stream, &command).await.map_err(|e| (true, e.to_string()))
        }
    };
    match timeout(within, connect).await {
        Ok(answer) => answer.map_err(|(sent, why)| (sent, format!("HAProxy at {socket}: {why}"))),
        Err(_) => Err((true, format!("HAProxy at {socket} gave no answer within {within:?}"))),
    }
}

/// What `HAProxy` keeps of tokens.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Token(Token),
    Nothing,
    /// It has no variables, or something else is in it.
    Unable,
}

/// The name of a variable takes letters, digits, `_` and `.` only.
fn variable(backend: &str) -> String {
    let name = backend.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("proc.jurymast_{name}")
}

fn kept(answer: &str) -> Kept {
    let value = answer
        .split_once("value=<")
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(value, _)| value);
    match value.map(|value| value.split_once('.')) {
        Some(Some((epoch, seq))) => match (epoch.parse(), seq.parse()) {
            (Ok(epoch), Ok(seq)) => Kept::Token(Token { epoch, seq }),
            _ => Kept::Unable,
        },
        Some(None) => Kept::Unable,
        None if answer.contains("Variable not found") => Kept::Nothing,
        None => Kept::Unable,
    }
}

/// Leaves our token there, unless a higher one is there already. `Err` is a refusal: nothing has been commanded.
async fn carry_token(call: &Call<'_>, with: &With) -> Result<(), String> {
    let variable = variable(&with.backend);
    let stale = |seen: Token| {
        format!(
            "HAProxy at {} has been commanded with token {seen}, ours is {}: another agent acts, or data_dir was lost (then: \
             echo 'experimental-mode on; set var {variable} str(0.0)' to its socket)",
            with.socket, call.token
        )
    };
    let read = format!("get var {variable}");
    let before = command(call, with, &read).await.map_err(|(_, why)| why)?;
    match kept(&before) {
        Kept::Token(seen) if seen > call.token => return Err(stale(seen)),
        Kept::Token(seen) if seen == call.token => return Ok(()),
        Kept::Unable => {
            tracing::debug!(socket = with.socket, answer = before.trim(), "no token is kept here");
            return Ok(());
        }
        Kept::Token(_) | Kept::Nothing => {}
    }
    let write = format!("experimental-mode on; set var {variable} str({}); {read}", call.token);
    let after = command(call, with, &write).await.map_err(|(_, why)| why)?;
    match kept(&after) {
        Kept::Token(seen) if seen > call.token => Err(stale(seen)),
        Kept::Token(seen) if seen == call.token => Ok(()),
        _ => {
            tracing::warn!(
                socket = with.socket,
                answer = after.trim(),
                "the token could not be left here"
            );
            Ok(())
        }
    }
}

impl Executor for Haproxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        self.observe(call)
    }

    fn began_anew<'a>(&'a self, call: &'a Call<'a>, within: Duration) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return false;
            };
            // Of whoever keeps no token nobody can tell whether it has forgotten one.
            let read = format!("get var {}", variable(&with.backend));
            let token = command(call, &with, &read).await;
            if !token.is_ok_and(|answer| kept(&answer) == Kept::Nothing) {
                return false;
            }
            let info = command(call, &with, "show info").await;
            info.ok()
                .and_then(|answer| uptime(&answer))
                .is_some_and(|uptime| uptime < within)
        })
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Compared
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with = match With::checked(call.with) {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            if let Err(why) = carry_token(call, &with).await {
                return Applied::NoEffect(why);
            }
            let (backend, server) = (&with.backend, &with.server);
            let mut text = format!("set server {backend}/{server} state {}", with.state.word());
            if with.state == State::Maint {
                // Sessions that stand would go on to be served by the old active.
                text += &format!("; shutdown sessions server {backend}/{server}");
            }
            match command(call, &with, &text).await {
                Ok(answer) if answer.trim().is_empty() => Applied::Done,
                Ok(answer) if with.may_be_absent() && answer.contains("No such server") => Applied::Done,
                Ok(answer) => Applied::NoEffect(format!("HAProxy says: {}", answer.trim())),
                Err((true, why)) => Applied::Unknown(why),
                Err((false, why)) => Applied::NoEffect(why),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return Effect::Unknown;
            };
            let Ok(answer) = command(call, &with, &format!("show servers state {}", with.backend)).await else {
                return Effect::Unknown;
            };
            match admin_state(&answer, &with.server) {
                Some(admin) if matches(admin, with.state) => Effect::There,
                Some(_) => Effect::NotThere,
                None if with.may_be_absent() && answer.contains("srv_admin_state") => Effect::There,
                None => Effect::Unknown,
            }
        })
    }
}

/// How long the process that answers has run, in whole seconds, rounded up: a reload begins anew as well.
fn uptime(answer: &str) -> Option<Duration> {
    let seconds: u64 = answer
        .lines()
        .find_map(|line| line.strip_prefix("Uptime_sec:"))?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.saturating_add(1)))
}

/// The column `srv_admin_state` of a server.
fn admin_state(answer: &str, server: &str) -> Option<u32> {
    let header = answer.lines().find(|line| line.starts_with("# "))?;
    let column = |name: &str| header.trim_start_matches("# ").split(' ').position(|word| word == name);
    let (name, admin) = (column("srv_name")?, column("srv_admin_state")?);
    let row = answer
        .lines()
        .find(|line| !line.starts_with('#') && line.split(' ').nth(name) == Some(server))?;
    row.split(' ').nth(admin)?.parse().ok()
}

/// Bits of `srv_admin_state`: 0x01 forced maintenance, 0x08 forced drain, 0x02, 0x10, 0x20 and 0x40 the same from a tracked server, its
/// backend or its name. 0x04 only says that the config had it `disabled`; it stays when the server is made ready.
const fn matches(admin: u32, state: State) -> bool {
    let (maint, drain) = (admin & 0x01 != 0, admin & 0x08 != 0);
    match state {
        State::Ready => admin & 0x7b == 0,
        State::Maint => maint,
        State::Drain => drain && !maint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n\
        3 be 1 a 127.0.0.1 0 1 1\n3 be 2 b 127.0.0.1 2 0 1\n\n";

    /// The network was cut for a moment: what is given up must not arrive once it is whole again, when something else has been decided.
    #[tokio::test]
    async fn an_order_that_nobody_answers_in_time_is_not_sent_any_more() {
        let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap().to_string();
        let asked = ask(&address, "set server web/a state maint", Duration::from_millis(50)).await;
        assert!(asked.is_err_and(|(sent, _)| sent));
        let (mut stream, _) = front.accept().await.unwrap();
        let broken = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(broken.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn the_state_is_read_by_the_header() {
        assert_eq!(admin_state(ANSWER, "a"), Some(1));
        assert_eq!(admin_state(ANSWER, "b"), Some(0));
        assert_eq!(admin_state(ANSWER, "c"), None);
        assert!(matches(1, State::Maint) && matches(0, State::Ready) && !matches(1, State::Ready));
        // As HAProxy 2.6 tells a server that the config has disabled: made ready, put into maintenance, drained.
        assert!(matches(4, State::Ready) && !matches(4, State::Maint));
        assert!(matches(5, State::Maint) && matches(12, State::Drain) && !matches(12, State::Ready));
    }

    #[test]
    fn how_long_it_has_run_is_read() {
        let answer = "Name: HAProxy\nUptime: 0d 0h01m03s\nUptime_sec: 63\nMemmax_MB: 0\n";
        assert_eq!(uptime(answer), Some(Duration::from_secs(64)));
        assert_eq!(uptime("Unknown command: 'show info'\n"), None);
    }

    #[test]
    fn the_kept_token_is_read_as_haproxy_2_6_writes_it() {
        let token = Token { epoch: 1, seq: 12 };
        let written = "\n\nproc.jurymast_be: type=str value=<1.12>\n\n";
        assert_eq!(kept(written), Kept::Token(token));
        assert_eq!(kept("Variable not found.\n\n"), Kept::Nothing);
        assert_eq!(kept("Unknown command: 'get', but maybe one of ...\n"), Kept::Unable);
        assert_eq!(kept("proc.x: type=str value=<mine>\n"), Kept::Unable);
        assert_eq!(variable("be-1:x"), "proc.jurymast_be_1_x");
    }

    #[test]
    fn names_that_would_be_commands_are_refused() {
        let with = serde_json::json!({"socket": "/s", "backend": "be; shutdown", "server": "a", "state": "maint"});
        assert!(
            Haproxy
                .check(with.as_object().unwrap())
                .unwrap_err()
                .contains("letters")
        );
    }
}
