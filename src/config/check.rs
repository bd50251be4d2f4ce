//! What a config means: names that lead nowhere, numbers out of range, services that could never be moved. All errors at once.

use std::collections::BTreeSet;

use super::schema::Config;
use crate::act::{Executors, Prober};
use crate::model::hint::did_you_mean;
use crate::model::{EntityName, PlanKind, Service, Token, Topology};
use crate::plan::Playbooks;

/// Adds what is wrong to `errors` and what is doubtful to `warnings`.
pub fn check(config: &Config, playbooks: &Playbooks, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    errors.extend(config.detect.check().err().map(|error| error.to_string()));
    for source in &config.sources.mqtt {
        errors.extend(source.check().err().map(|error| error.to_string()));
    }
    for source in &config.sources.replication {
        errors.extend(source.check().err());
    }
    for source in &config.sources.backup {
        errors.extend(source.check().err());
    }
    errors.extend(config.coordinate.check().err());
    for window in &config.policy.maintenance {
        errors.extend(window.check(&config.services).err());
    }
    for schedule in &config.drills {
        errors.extend(schedule.check(&config.services).err());
    }
    for source in &config.sources.scrape_configs {
        errors.extend(source.check().err());
    }
    for source in &config.sources.syslog {
        errors.extend(source.address().err());
    }
    if !matches!(config.rules.prometheus, 2 | 3) {
        errors.push(format!("rules.prometheus: {} must be 2 or 3", config.rules.prometheus));
    }
    names(config, errors);
    let topology = config.topology();
    let fixed = config.fixed_topology();
    let known: BTreeSet<String> = topology.entities().map(|entity| entity.name.to_string()).collect();
    let services = || config.services.iter().map(|service| service.name.as_str());
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
                || services().any(|service| service == end.as_str())
                || *end == config.agent.name;
            if !stated && !elsewhere {
                let others = known
                    .iter()
                    .map(String::as_str)
                    .filter(|name| *name != end.as_str())
                    .chain(services());
                errors.push(format!(
                    "topology.edges: '{end}' is neither an entity nor a service{}",
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
    for service in &config.services {
        let itself = |name: &EntityName| {
            name.as_str() == service.name.as_str() || service.instances().any(|instance| instance == name)
        };
        let stated = |name: &EntityName| topology.entity(name.as_str()).is_some();
        let circles = config
            .topology
            .edges
            .iter()
            .filter(|edge| edge.to.as_str() == service.name.as_str() && !stated(&edge.to) && itself(&edge.from));
        for edge in circles {
            errors.push(format!(
                "topology.edges: '{}' and '{}' are one service, which cannot need itself",
                edge.from, edge.to
            ));
        }
    }
    for [one, other] in &config.policy.pairs {
        for name in [one, other].map(EntityName::as_str) {
            if !known.contains(name) && !services().any(|service| service == name) {
                let others = known.iter().map(String::as_str).chain(services());
                errors.push(format!(
                    "policy.pairs: '{name}' is neither an entity nor a service{}",
                    did_you_mean(name, others)
                ));
            }
        }
        if one == other {
            errors.push(format!(
                "policy.pairs: {one} stands beside itself; a single failure is planned for anyway"
            ));
        }
    }
    let listen = &config.api.listen;
    let address = listen.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    if address.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        errors.push(format!(
            "api.listen '{listen}' must be address:port, such as 127.0.0.1:9909"
        ));
    }
    if config.rules.interval.0.is_zero() {
        errors.push("rules.interval must be above 0".into());
    }
    for (place, cost) in config.policy.costs.numbers() {
        if !(cost.is_finite() && cost >= 0.0) {
            errors.push(format!("{place}: {cost} must be a number of at least 0"));
        }
    }
    super::placing::check(config, &topology, errors, warnings);
    // Probes and executors hold HTTP clients, which cannot be made without it.
    crate::net::install_crypto();
    let prober = Prober::new();
    let executors = Executors::new();
    super::yields::check(config, &topology, &executors, errors, warnings);
    for service in &config.services {
        let mut wrong = |problem: String| errors.push(format!("service '{}': {problem}", service.name));
        if service.confirm > 1 && !config.coordinate.is_shared() {
            wrong(format!(
                "confirm is {}, but this agent is the only vantage point: it would never be moved; 1 is the most (several agents share \
                 what they see by coordinate.etcd or coordinate.kubernetes)",
                service.confirm
            ));
        }
        check_service(service, &topology, playbooks, &prober, &executors, &mut wrong);
        warn(service, &config.services, &fixed, playbooks, warnings);
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
    let backup = config.sources.backup.iter().map(|source| source.name.clone());
    let replication = config.sources.replication.iter().map(|source| source.name.clone());
    let native = config
        .sources
        .scrape_configs
        .iter()
        .map(|source| source.job_name.clone());
    let syslog = config.sources.syslog.iter().map(|source| source.name.clone());
    twice(
        "source",
        mqtt.chain(scrape)
            .chain(native)
            .chain(query)
            .chain(replication)
            .chain(backup)
            .chain(syslog)
            .collect(),
    );
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
    // What is wrong with the probe itself is wrong for each instance, and said once.
    let problems: BTreeSet<String> = service
        .instances()
        .filter_map(|instance| prober.check(&service.probe, topology.entity(instance.as_str())?).err())
        .collect();
    for problem in problems {
        wrong(format!("probe: {problem}"));
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

fn warn(
    service: &Service,
    services: &[Service],
    topology: &Topology,
    playbooks: &Playbooks,
    warnings: &mut Vec<String>,
) {
    let mut doubtful = |text: String| warnings.push(format!("service '{}': {text}", service.name));
    if let Some(why) = playbooks.unfenced(service) {
        doubtful(format!(
            "it must have a single writer, and is never moved without a person: {why}"
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
            let mut movable = services.iter().filter(|other| {
                let at = |name: &EntityName| shared.iter().any(|shared| shared == name.as_str());
                other.name != service.name && other.instances().count() > 1 && other.instances().any(at)
            });
            let hint = movable.next().map_or_else(String::new, |other| {
                format!("; an edge `to: {}` goes along when that service moves", other.name)
            });
            doubtful(format!(
                "all its instances stand on {}: a fault there is cured by no move{hint}",
                shared.join(", ")
            ));
        }
    }
}

/// Where the last name that an error quotes stands: in the part of the file that the error speaks of, and there behind the names that it quotes before.
pub fn place(message: &str, text: &str) -> Option<(usize, usize)> {
    // What was meant stands elsewhere, and is right.
    let wrong = message.split("; did you mean").next().unwrap_or(message);
    let lines: Vec<&str> = text.lines().collect();
    let part = match message.split([' ', '.', ':']).next().unwrap_or_default() {
        "service" => "services",
        "source" => "sources",
        "entity" => "topology",
        other => other,
    };
    let begin = lines.iter().position(|line| line.split(':').next() == Some(part));
    let mut from = begin.unwrap_or(0);
    let mut found = None;
    for name in wrong.split('\'').skip(1).step_by(2).filter(|name| !name.is_empty()) {
        let whole = [from, begin.unwrap_or(0), 0];
        let Some((line, column)) = whole.into_iter().find_map(|start| word(&lines, start, name)) else {
            continue;
        };
        from = line;
        found = Some((line + 1, column));
    }
    found
}

/// The first line from `start` on that holds `name` as a word of its own, and the column (from 1).
fn word(lines: &[&str], start: usize, name: &str) -> Option<(usize, usize)> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    lines.iter().enumerate().skip(start).find_map(|(n, line)| {
        let whole = |at: &usize| {
            let before = line[..*at].chars().last();
            let after = line[*at + name.len()..].chars().next();
            !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
        };
        let at = line.match_indices(name).map(|(at, _)| at).find(whole)?;
        Some((n, line[..at].chars().count() + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sources:
  scrape:
    - {job: ingest, targets: []}
services:
  - name: ingest
    active: a
    standbys: [{entity: b}]
  - {name: other, active: b, standbys: [{entity: c}]}
";

    #[test]
    fn an_error_of_a_service_is_shown_at_the_service_and_not_at_a_job_of_the_same_name() {
        assert_eq!(place("service 'ingest': it has no standby", TEXT), Some((5, 11)));
        assert_eq!(place("source 'ingest' stands twice", TEXT), Some((3, 13)));
    }

    #[test]
    fn a_name_within_is_looked_for_behind_the_one_that_it_belongs_to() {
        assert_eq!(place("service 'other': standby 'b' is odd", TEXT), Some((8, 27)));
        assert_eq!(place("service 'ingest': standby 'b' is odd", TEXT), Some((7, 25)));
    }

    #[test]
    fn a_name_that_stands_nowhere_leaves_the_place_of_the_one_before() {
        assert_eq!(place("service 'other': playbook 'zzz' is unknown", TEXT), Some((8, 12)));
        assert_eq!(place("policy.max_red_share: 3 must lie between 0 and 1", TEXT), None);
    }
}
