//! `jurymast exec`: the helper on a target host. It runs a command unless its token is stale, and remembers the highest on disk.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::act::keeper::{self, Answer, Keeper, Repeating, Sealing};
use crate::model::Token;

/// `EX_TEMPFAIL`: nothing was done.
const NOTHING_DONE: i32 = 75;

/// To `--observe`: nobody knows.
const NOBODY_KNOWS: i32 = 3;

/// Arguments.
#[derive(clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct Args {
    /// For which service: each has a highest token of its own.
    #[arg(long)]
    service: String,
    /// The token of the command, as EPOCH.SEQ; playbooks fill it in for {token}.
    #[arg(long, env = "JURYMAST_TOKEN", value_parser = token)]
    token: Option<Token>,
    /// What stays the same for each try of the same step; the token and the command line if left out.
    #[arg(long, env = "JURYMAST_KEY")]
    key: Option<String>,
    /// Where the tokens are kept. It must outlast a restart of the machine.
    #[arg(long, env = "JURYMAST_TOKENS", default_value = "/var/lib/jurymast/tokens")]
    dir: PathBuf,
    /// From now on refuse whatever else carries this token or a lower one.
    #[arg(long)]
    seal: bool,
    /// Run it again if nobody knows how it ended the last time.
    #[arg(long)]
    idempotent: bool,
    /// Run nothing: exit 0 if it was done, 1 if it was not begun, 3 if nobody knows.
    #[arg(long)]
    observe: bool,
    /// Run nothing: print what is kept.
    #[arg(long)]
    list: bool,
    /// The program and its arguments.
    #[arg(last = true)]
    argv: Vec<String>,
}

fn token(text: &str) -> Result<Token, String> {
    let wrong = || format!("'{text}' is not of the form EPOCH.SEQ, such as 7.1");
    let (epoch, seq) = text.split_once('.').ok_or_else(wrong)?;
    match (epoch.parse(), seq.parse()) {
        (Ok(epoch), Ok(seq)) => Ok(Token { epoch, seq }),
        _ => Err(wrong()),
    }
}

/// Runs it; the exit code is the program's, or 75 if nothing was done.
pub fn run(args: &Args, output: Output) -> Outcome {
    let mut keeper = Keeper::open(&args.dir, &args.service).map_err(|error| error.to_string())?;
    if args.list {
        let kept = keeper.kept();
        if output == Output::Json {
            println!("{:#}", json!(kept));
        } else {
            println!(
                "highest token {}, sealed at {}, {} done",
                kept.highest,
                kept.sealed,
                kept.done.len()
            );
            if let Some(begun) = &kept.begun {
                println!("begun, and not seen to end: {begun}");
            }
        }
        return Ok(Ended::Good);
    }
    let Some(token) = args.token else {
        return Err(
            "the command has no token: --token {token} in the playbook, or JURYMAST_TOKEN in the environment".into(),
        );
    };
    let key = args
        .key
        .clone()
        .unwrap_or_else(|| format!("{token} {}", args.argv.join("\u{1f}")));
    if args.observe {
        let kept = keeper.kept();
        let code = if kept.done.contains(&key) {
            0
        } else if kept.begun.as_ref() == Some(&key) {
            NOBODY_KNOWS
        } else {
            1
        };
        return Ok(Ended::Code(code));
    }
    let command = keeper::Command {
        token,
        key: &key,
        seals: if args.seal { Sealing::Seals } else { Sealing::Ordinary },
        repeats: if args.idempotent {
            Repeating::Harmless
        } else {
            Repeating::Never
        },
    };
    match keeper.begin(command).map_err(|error| error.to_string())? {
        Answer::Done => Ok(Ended::Good),
        Answer::Refused(why) => {
            eprintln!("refused: {why}");
            Ok(Ended::Code(NOTHING_DONE))
        }
        Answer::Unknown => {
            eprintln!("it was begun before, and nobody knows how it ended: not repeated (--idempotent would)");
            Ok(Ended::Code(NOBODY_KNOWS))
        }
        Answer::Run => carry_out(args, &mut keeper, &key),
    }
}

fn carry_out(args: &Args, keeper: &mut Keeper, key: &str) -> Outcome {
    let code = match args.argv.split_first() {
        // A seal alone.
        None => 0,
        Some((program, rest)) => {
            let stdin = keeper.handle().map_or_else(|_| Stdio::null(), Stdio::from);
            let ran = Command::new(program).args(rest).stdin(stdin).status();
            match ran {
                Ok(status) => status.code().unwrap_or(NOBODY_KNOWS),
                Err(error) => {
                    eprintln!("{program}: {error}");
                    NOTHING_DONE
                }
            }
        }
    };
    let kept = match code {
        0 => keeper.done(key),
        NOTHING_DONE => keeper.undone(),
        // It may have had its effect: that it was begun stays.
        _ => Ok(()),
    };
    // What was done is done; the agent looks for itself if this could not be kept.
    kept.map_err(|error| format!("the program has ended with {code}, but: {error}"))?;
    Ok(Ended::Code(code))
}
