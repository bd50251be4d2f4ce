//! The reference page of the commands and their manual pages, written from their own help.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::{Ended, Outcome};

/// The page `docs/reference/cli.md`.
pub fn reference() -> String {
    let mut cli = super::Cli::command();
    cli.build();
    let mut out = String::from(
        "# The commands\n\nWritten from the commands' own help. Exit codes: 0 all is good; 1 it ran and found something bad; 2 it could not run. Colours only \
         on a terminal, and never with `NO_COLOR`.\n",
    );
    let _ = write!(
        out,
        "\n## Everywhere\n\n{}",
        table(cli.get_arguments().filter(|arg| shown(arg)))
    );
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(command, &format!("jurymast {}", command.get_name()), 2, &mut out);
    }
    out
}

/// Writes a manual page for each command into a folder.
pub fn manual(folder: &Path) -> Outcome {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(wrong)?;
    clap_mangen::generate_to(super::Cli::command(), folder).map_err(wrong)?;
    Ok(Ended::Good)
}

fn section(command: &Command, name: &str, depth: usize, out: &mut String) {
    // Added by the parser to every command that has others below it.
    if command.get_name() == "help" {
        return;
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(out, "\n{} `{name}`\n\n{}\n", "#".repeat(depth), sentence(&about));
    // What stands everywhere is not said again.
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| shown(arg) && !arg.is_global_set())
        .collect();
    if !own.is_empty() {
        let _ = write!(out, "\n{}", table(own.into_iter()));
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        section(inner, &format!("{name} {}", inner.get_name()), depth + 1, out);
    }
}

fn shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

/// Help leaves the full stop out.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    if text.is_empty() || text.ends_with('?') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn table<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut out = String::from("| argument | default | meaning |\n| --- | --- | --- |\n");
    for arg in arguments {
        let takes = arg.get_action().takes_values();
        let value = arg
            .get_value_names()
            .and_then(<[_]>::first)
            .map_or_else(|| arg.get_id().to_string().to_uppercase(), ToString::to_string);
        let name = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => value.clone(),
        };
        let value = if takes && !arg.is_positional() {
            format!(" {value}")
        } else {
            String::new()
        };
        let mut default: Vec<String> = arg
            .get_default_values()
            .iter()
            .filter(|_| takes)
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        if let Some(variable) = arg.get_env() {
            default.push(format!("`${}`", variable.to_string_lossy()));
        }
        let mut meaning = sentence(&arg.get_help().map(ToString::to_string).unwrap_or_default());
        let words: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|_| takes)
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !words.is_empty() {
            let _ = write!(meaning, " One of {}.", words.join(", "));
        }
        let _ = writeln!(
            out,
            "| `{name}{value}` | {} | {} |",
            default.join(", "),
            meaning.replace('|', "\\|").replace('\n', " ")
        );
    }
    out
}
