//! What steps need on this machine: the programs that they begin, the files that they name. Found missing before a move, not in its middle.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value};

use super::Loaded;
use crate::act::Executors;
use crate::model::{PlanKind, Service, Step, Token};

/// The steps of every move that a service can make: to each standby, and home from there. What cannot be planned is told elsewhere.
pub fn steps(loaded: &Loaded, service: &Service) -> Vec<Step> {
    let topology = loaded.config.topology();
    let build = |kind, from, to| {
        let (token, named) = (Token::default(), []);
        let built = loaded
            .playbooks
            .build(service, kind, from, to, token, &named, &topology);
        built.unwrap_or_default()
    };
    let home = &service.active;
    let standbys = service.standbys.iter().map(|standby| &standby.entity);
    standbys
        .flat_map(|standby| {
            let there = build(PlanKind::Failover, home, standby);
            there.into_iter().chain(build(PlanKind::Failback, standby, home))
        })
        .collect()
}

/// What is missing here, a line for each service and thing.
pub fn lacks(loaded: &Loaded) -> Vec<String> {
    crate::net::install_crypto();
    let executors = Executors::new();
    let mut told = BTreeSet::new();
    for service in &loaded.config.services {
        for step in steps(loaded, service) {
            let Ok(executor) = executors.get(&step.action.uses) else {
                continue;
            };
            let programs = executor.programs(&step.action.with);
            let programs = programs.iter().filter(|program| !is_program(program));
            let missing = programs
                .map(|program| format!("program '{program}'"))
                .chain(files(&step.action.with));
            told.extend(missing.map(|what| {
                format!(
                    "service '{}', step '{}': {what} is not there on this machine, for whoever runs this",
                    service.name, step.name
                )
            }));
        }
    }
    told.into_iter().collect()
}

/// Can it be begun by that name? A relative path depends on where the agent is started, and is not looked at.
fn is_program(name: &str) -> bool {
    let runs = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    match (name.starts_with('/'), name.contains('/')) {
        (true, _) => runs(Path::new(name)),
        (false, true) => true,
        (false, false) => std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| runs(&folder.join(name)))),
    }
}

/// Files of secrets and settings that the parameters name and that cannot be read; those on other hosts are not looked at.
fn files(with: &Map<String, Value>) -> Vec<String> {
    let elsewhere = with
        .get("at")
        .and_then(|at| at.get("ssh"))
        .and_then(Value::as_str)
        .is_some_and(|host| !host.is_empty());
    let named = with.iter().filter(|(name, _)| name.ends_with("_file") && !elsewhere);
    let paths = named.filter_map(|(name, value)| Some((name, value.as_str()?)));
    paths
        .filter(|(_, path)| !path.is_empty() && std::fs::File::open(path).is_err())
        .map(|(name, path)| format!("{name} '{path}'"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert!(is_program("sh") && is_program("/bin/sh"));
        assert!(!is_program("no-such-program") && !is_program("/bin/no-such-program") && !is_program("/etc"));
        assert!(
            is_program("scripts/start"),
            "where it is depends on where the agent is started"
        );
    }
}
