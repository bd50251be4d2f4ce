//! What a config means: names that lead nowhere, numbers out of range, services that could never be moved. All errors at once.

use std::collections::BTreeSet;

use super::schema::Config;
use crate::act::{Executors, Prober};
use crate::model::{PlanKind, Service, Token, Topology};
use crate::plan::Playbooks;

/// Adds what is wrong to `errors` and what is doubtful to `warnings`.
pub fn check(config: &Config, playbooks: &Playbooks, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    errors.extend(config.detect.check().err().map(|error| error.to_string()));
    for source in &config.sources.mqtt {
        errors.extend(source.check().err().map(|error| error.to_string()));
    }
    names(config, errors);
    let topology = config.topology();
    let known: BTreeSet<String> = topology.entities().map(|entity| entity.name.to_string()).collect();
    for edge in &config.topology.edges {
        for end in [&edge.from, &edge.to] {
            // An edge makes its ends known; only a name that nothing else states is likely to be a slip.
            let stated = config.topology.entities.iter().any(|entity| entity.name == *end);
            let elsewhere = config
                .services
                .iter()
                .flat_map(Service::instances)
                .any(|name| name == end)
                || config.sources.mqtt.iter().any(|source| source.broker() == *end)
                || *end == config.agent.name;
            if !stated && !elsewhere {
                let others = known
                    .iter()
                    .filter(|name| name.as_str() != end.as_str())
                    .map(String::as_str);
                errors.push(format!(
                    "topology.edges: '{end}' is no entity{}",
                    did_you_mean(end.as_str(), others)
                ));
            }
        }
    }
    if !(0.0..=1.0).contains(&config.policy.max_red_share) {
        errors.push(format!(
            "policy.max_red_share: {} must lie between 0 and 1",
            config.policy.max_red_share
        ));
    }
    for (place, cost) in config.policy.costs.numbers() {
        if !(cost.is_finite() && cost >= 0.0) {
            errors.push(format!("{place}: {cost} must be a number of at least 0"));
        }
    }
    // Probes and executors hold HTTP clients, which cannot be made without it.
    crate::net::install_crypto();
    let prober = Prober::new();
    let executors = Executors::new();
    for service in &config.services {
        let mut wrong = |problem: String| errors.push(format!("service '{}': {problem}", service.name));
        check_service(service, &topology, playbooks, &prober, &executors, &mut wrong);
        warn(service, &topology, playbooks, warnings);
    }
}

fn names(config: &Config, errors: &mut Vec<String>) {
    let mut twice = |what: &str, names: Vec<String>| {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name.clone()) {
                errors.push(format!("{what} '{name}' stands twice"));
            }
        }
    };
    twice(
        "entity",
        config
            .topology
            .entities
            .iter()
            .map(|entity| entity.name.to_string())
            .collect(),
    );
    twice(
        "service",
        config.services.iter().map(|service| service.name.to_string()).collect(),
    );
    let mqtt = config.sources.mqtt.iter().map(|source| source.name.clone());
    let scrape = config.sources.scrape.iter().map(|source| source.job.clone());
    let query = config.sources.query.iter().map(|source| source.name.clone());
    twice("source", mqtt.chain(scrape).chain(query).collect());
}

fn check_service(
    service: &Service,
    topology: &Topology,
    playbooks: &Playbooks,
    prober: &Prober,
    executors: &Executors,
    wrong: &mut impl FnMut(String),
) {
    if service.standbys.is_empty() {
        wrong("it has no standby, so it can never be moved".into());
    }
    if service.standbys.iter().any(|standby| standby.entity == service.active) {
        wrong(format!(
            "'{}' is its active instance and its own standby",
            service.active
        ));
    }
    if !(0.5..=1.0).contains(&service.min_probability) {
        wrong(format!(
            "min_probability {} must lie between 0.5 and 1",
            service.min_probability
        ));
    }
    if let Some(rpo) = service.rpo
        && let Some(standby) = service.standbys.iter().find(|standby| standby.lag_signal.is_none())
    {
        wrong(format!(
            "it has an rpo of {rpo}, but standby '{}' has no lag_signal to hold against it",
            standby.entity
        ));
    }
    if service.confirm > 1 {
        wrong(format!(
            "confirm is {}, but this agent is the only vantage point: it would never be moved; 1 is the most",
            service.confirm
        ));
    }
    for instance in service.instances() {
        if let Some(entity) = topology.entity(instance.as_str())
            && let Err(problem) = prober.check(&service.probe, entity)
        {
            wrong(format!("probe: {problem}"));
        }
    }
    if let Err(error) = playbooks.get(&service.playbook) {
        let known = playbooks.iter().map(|playbook| playbook.name.as_str());
        wrong(format!("{error}{}", did_you_mean(&service.playbook, known)));
        return;
    }
    let token = Token { epoch: 1, seq: 1 };
    for standby in &service.standbys {
        let built = playbooks.build(
            service,
            PlanKind::Failover,
            &service.active,
            &standby.entity,
            token,
            &[],
            topology,
        );
        match built {
            Err(error) => wrong(error.to_string()),
            Ok(steps) => {
                for step in steps {
                    let actions = [Some(&step.action), step.undo.as_ref()];
                    for action in actions.into_iter().flatten().filter(|action| action.uses != "probe") {
                        let checked = executors
                            .get(&action.uses)
                            .and_then(|executor| executor.check(&action.with));
                        if let Err(problem) = checked {
                            wrong(format!(
                                "playbook '{}', step '{}': {problem}",
                                service.playbook, step.name
                            ));
                        }
                    }
                }
            }
        }
    }
}

fn warn(service: &Service, topology: &Topology, playbooks: &Playbooks, warnings: &mut Vec<String>) {
    let mut doubtful = |text: String| warnings.push(format!("service '{}': {text}", service.name));
    if service.single_writer && !playbooks.is_fenced(&service.playbook) {
        doubtful(format!(
            "it must have a single writer and '{}' has no fence step: it will only ask",
            service.playbook
        ));
    }
    if service.confirm == 0 {
        doubtful("confirm is 0: it is moved on telemetry alone, without a probe that agrees".into());
    }
    let upstream: Vec<_> = service
        .instances()
        .map(|instance| topology.upstream(instance.as_str()))
        .collect();
    if let [first, rest @ ..] = upstream.as_slice() {
        let shared: Vec<String> = first
            .iter()
            .filter(|up| rest.iter().all(|other| other.contains(*up)))
            .map(ToString::to_string)
            .collect();
        if !shared.is_empty() {
            doubtful(format!(
                "all its instances stand on {}: a fault there is cured by no move",
                shared.join(", ")
            ));
        }
    }
}

/// `; did you mean 'x'?`, if something is close.
pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .filter(|(distance, other)| *distance <= 2.max(other.len() / 3))
        .min();
    near.map_or_else(String::new, |(_, other)| format!("; did you mean '{other}'?"))
}

/// Adds what was probably meant to an error of the reader that lists what would have been good.
pub fn hint(message: &str) -> String {
    let slip = message.contains("unknown field") || message.contains("unknown variant");
    let (Some(word), Some((_, good))) = (message.split('`').nth(1), message.split_once("expected ")) else {
        return message.to_owned();
    };
    if !slip {
        return message.to_owned();
    }
    // "one of a, b, c" or "`a` or `b`", by the reader's mood.
    let known = good
        .split([',', ' ', '`'])
        .filter(|part| !["", "one", "of", "or"].contains(part));
    format!("{message}{}", did_you_mean(word, known))
}

/// The first line that holds the last name that an error quotes.
pub fn place(message: &str, text: &str) -> Option<(usize, usize)> {
    // What was meant stands elsewhere, and is right.
    let wrong = message.split("; did you mean").next().unwrap_or(message);
    let names: Vec<&str> = wrong.split('\'').skip(1).step_by(2).collect();
    let find = |name: &str| {
        text.lines().enumerate().find_map(|(n, line)| {
            let at = line.find(name)?;
            let before = line[..at].chars().last();
            let after = line[at + name.len()..].chars().next();
            let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            (!before.is_some_and(word) && !after.is_some_and(word)).then(|| (n + 1, line[..at].chars().count() + 1))
        })
    };
    // "service 'x': … 'y' …": the place of y tells more than that of x.
    names
        .iter()
        .rev()
        .filter(|name| !name.is_empty())
        .find_map(|name| find(name))
}
