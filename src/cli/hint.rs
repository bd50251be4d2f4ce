//! Of an argument that a command does not take: by which option it does.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// The options that people give without their name, the first that a command has first.
const GIVEN: [&str; 2] = ["service", "config"];

/// The error, with the option that was probably meant.
pub fn with(mut error: Error, root: &Command) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    if let Some(tip) = tip(given, std::env::args_os(), root) {
        let tips = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn tip(given: &str, arguments: impl Iterator<Item = OsString>, root: &Command) -> Option<String> {
    if given.starts_with('-') {
        return None;
    }
    let words: Vec<String> = arguments.skip(1).filter_map(|word| word.into_string().ok()).collect();
    let command = words.iter().find_map(|word| root.find_subcommand(word))?;
    let is_file = std::path::Path::new(given)
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml");
    let option = GIVEN
        .into_iter()
        .filter(|name| (*name == "config") == is_file)
        .find(|name| command.get_arguments().any(|arg| arg.get_long() == Some(name)))?;
    Some(format!("it is given as '--{option} {given}'"))
}
