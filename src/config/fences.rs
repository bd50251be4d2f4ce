//! Where a stale token is refused, for each service: what an operator must know before two agents ever meet.

use super::load::Loaded;
use crate::act::Executors;
use crate::act::executor::TokenClass;
use crate::model::plan::Phase;
use crate::model::{PlanKind, Service, Step, Token};
use crate::plan::Yielding;

/// One line for each service and each kind of step that changes who is active.
pub fn fences(loaded: &Loaded) -> Vec<String> {
    crate::net::install_crypto();
    let executors = Executors::new();
    loaded
        .config
        .services
        .iter()
        .flat_map(|service| of_service(loaded, service, &executors))
        .collect()
}

fn of_service(loaded: &Loaded, service: &Service, executors: &Executors) -> Vec<String> {
    let topology = loaded.config.topology();
    let token = Token { epoch: 1, seq: 1 };
    let Some(standby) = service.standbys.first() else {
        return Vec::new();
    };
    // The second standby stands for a node that an earlier plan has named.
    let named: Vec<_> = service
        .standbys
        .iter()
        .skip(1)
        .map(|other| other.entity.clone())
        .collect();
    let (from, to) = (&service.active, &standby.entity);
    let built = loaded
        .playbooks
        .build(service, PlanKind::Failover, from, to, token, &named, &topology);
    let mut lines: Vec<String> = Vec::new();
    let stop = Yielding {
        service,
        at: from,
        to: &service.name,
        token,
        kind: PlanKind::Failover,
        topology: &topology,
    }
    .stop();
    for step in built.unwrap_or_default().into_iter().chain(stop.and_then(Result::ok)) {
        let Some(word) = word(step.phase) else { continue };
        let line = format!("service '{}', {word}: {}", service.name, refuses(&step, executors));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

const fn word(phase: Phase) -> Option<&'static str> {
    Some(match phase {
        Phase::Fence => "fence",
        Phase::Seal => "seal",
        Phase::Promote => "promote",
        Phase::Start => "start",
        Phase::Switch => "switch",
        Phase::Yield => "yield",
        Phase::Restore | Phase::Verify | Phase::GiveBack | Phase::Announce => return None,
    })
}

fn refuses(step: &Step, executors: &Executors) -> String {
    let uses = &step.action.uses;
    if uses == "exec" || uses == "ssh" {
        let argv = step.action.with.get("argv").and_then(|argv| argv.as_array());
        let words: Vec<&str> = argv.into_iter().flatten().filter_map(|word| word.as_str()).collect();
        let helped = words
            .windows(2)
            .any(|pair| pair[0].ends_with("jurymast") && pair[1] == "exec");
        return if helped {
            "a stale token is refused on the target host, by 'jurymast exec'".into()
        } else {
            "a stale token is refused only if the program itself compares JURYMAST_TOKEN; 'jurymast exec' in front of it does".into()
        };
    }
    match executors.get(uses).map(crate::act::executor::Executor::token_class) {
        Ok(TokenClass::Server) => {
            let until = if uses == "haproxy" {
                ", until HAProxy restarts: it forgets the token and begins with what its file says, unless it loads its server state"
            } else {
                ""
            };
            format!("a stale token is refused by the server itself ({uses}), in one go with the change{until}")
        }
        Ok(TokenClass::Target) => {
            format!("{uses} carries the token; a stale one is refused only if whoever gets it compares it")
        }
        Ok(TokenClass::Compared) => {
            format!("a stale token is refused by {uses}: compared with what the target keeps, right before the command")
        }
        Ok(TokenClass::Manager) => {
            format!(
                "{uses} asks the manager that owns the service; it counts its own epochs and compares no token of ours"
            )
        }
        Ok(TokenClass::Nowhere) => {
            format!(
                "{uses} refuses no stale token: only the journal and the fence stand before it; on a host of one's own 'jurymast exec' refuses it"
            )
        }
        Err(_) => format!("{uses} carries no token: a stale command is not refused"),
    }
}
