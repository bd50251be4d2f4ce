//! Services that may be stopped to make room for others: whether their stop and start can be followed, and whether it would ever be of use.

use super::schema::Config;
use crate::act::Executors;
use crate::model::{PlanKind, Service, Step, Token, Topology};
use crate::plan::{PlaybookError, Yielding};

/// Adds what is wrong to `errors` and what is doubtful to `warnings`.
pub fn check(
    config: &Config,
    topology: &Topology,
    executors: &Executors,
    errors: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    for service in config.services.iter().filter(|service| service.yields.is_some()) {
        let said = |problem: String| format!("service '{}': yields: {problem}", service.name);
        let mut wrong: Vec<String> = service
            .instances()
            .flat_map(|at| of(service, topology, executors, at))
            .collect();
        wrong.dedup();
        errors.extend(wrong.into_iter().map(said));
        if service.demands.is_empty() {
            warnings.push(said(
                "it has no demands, so stopping it frees nothing, and it never is".into(),
            ));
        } else if !config.services.iter().any(|other| other.priority > service.priority) {
            warnings.push(said("no service has a higher priority, so it is never stopped".into()));
        }
    }
}

fn of(service: &Service, topology: &Topology, executors: &Executors, at: &crate::model::EntityName) -> Vec<String> {
    let yielding = Yielding {
        service,
        at,
        to: &service.name,
        token: Token { epoch: 1, seq: 1 },
        kind: PlanKind::Failover,
        topology,
    };
    let mut wrong: Vec<String> = yielding
        .doubt()
        .map(|why| format!("its stop does not hold: {why}"))
        .into_iter()
        .collect();
    let mut look = |step: Option<Result<Step, PlaybookError>>, way: &str| match step {
        None => {}
        Some(Err(error)) => wrong.push(error.to_string()),
        Some(Ok(step)) => {
            let followed = executors
                .get(&step.action.uses)
                .and_then(|executor| executor.check(&step.action.with));
            wrong.extend(followed.err().map(|problem| format!("{way}: {problem}")));
        }
    };
    look(yielding.stop(), "stop");
    look(yielding.start(), "start");
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANT: &str = "
services:
  - {name: ingest, active: i1, standbys: [{entity: i2}], playbook: p, probe: {uses: tcp}, priority: 90}
  - name: batch
    active: b1
    standbys: [{entity: b2}]
    playbook: p
    probe: {uses: tcp}
    priority: 10
    demands: {cpu: 2}
    yields:
      stop: {uses: systemd, with: {do: fence, unit: batch}}
      start: {uses: systemd, with: {do: release, unit: batch}}
";

    fn said(from: &str, to: &str) -> (Vec<String>, Vec<String>) {
        assert!(PLANT.contains(from), "{from}");
        let config = Config::parse(&PLANT.replace(from, to)).unwrap();
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        crate::net::install_crypto();
        check(
            &config,
            &config.topology(),
            &Executors::new(),
            &mut errors,
            &mut warnings,
        );
        (errors, warnings)
    }

    #[test]
    fn one_that_may_be_stopped_and_started_is_not_objected_to() {
        assert_eq!(said("cpu: 2", "cpu: 2"), (vec![], vec![]));
    }

    #[test]
    fn a_stop_that_cannot_be_followed_or_seen_is_refused_once() {
        let (errors, _) = said("do: fence, unit: batch", "do: fence, unit: '{node.unit}'");
        assert!(
            errors.len() == 1 && errors[0].contains("nothing fills in {node.unit}") && errors[0].contains("{node}"),
            "{errors:?}"
        );
        let (errors, _) = said("do: fence, unit: batch", "do: fance, unit: batch");
        assert!(
            matches!(errors.as_slice(), [one] if one.starts_with("service 'batch': yields: stop: ") && one.contains("fance")),
            "{errors:?}"
        );
        let (errors, _) = said(
            "stop: {uses: systemd, with: {do: fence, unit: batch}}",
            "stop: {uses: exec, with: {argv: ['/bin/true']}}",
        );
        assert!(
            matches!(errors.as_slice(), [one] if one.contains("its stop does not hold: an exit code is no proof")),
            "{errors:?}"
        );
    }

    #[test]
    fn one_that_would_never_be_stopped_is_told() {
        let (_, warnings) = said("demands: {cpu: 2}", "demands: {}");
        assert!(
            warnings[0].starts_with("service 'batch': yields: it has no demands"),
            "{warnings:?}"
        );
        let (_, warnings) = said("priority: 90", "priority: 10");
        assert!(
            warnings[0].starts_with("service 'batch': yields: no service has a higher priority"),
            "{warnings:?}"
        );
    }
}
