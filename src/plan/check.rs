//! An independent checker: whatever a solver answers must pass it.

use super::greedy::unfit;
use super::problem::{Choice, Problem};

/// `Err` names the first thing that is wrong with an answer.
pub fn check(problem: &Problem<'_>, choice: &Choice) -> Result<(), String> {
    for (entity, _) in &choice.ranked {
        if entity == problem.from {
            return Err(format!("{entity} is where the service is"));
        }
        let known = problem
            .service
            .standbys
            .iter()
            .find(|standby| standby.entity == *entity);
        match known {
            Some(standby) => {
                if let Some(why) = unfit(problem, standby) {
                    return Err(format!("{entity} is not fit: {why}"));
                }
            }
            None if *entity == problem.service.active => {}
            None => return Err(format!("{entity} is no instance of {}", problem.service.name)),
        }
    }
    let candidates = problem.service.standbys.len() + 1;
    if choice.ranked.len() + choice.rejected.len() > candidates {
        return Err("more answers than candidates".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Entity, EntityKind, EntityName, Service, Span, Topology, TopologyChange};
    use crate::plan::{Facts, choose};

    #[derive(Default)]
    struct Known {
        down: Vec<&'static str>,
        lag: BTreeMap<&'static str, u64>,
        used: f64,
        group: Option<&'static str>,
    }

    impl Facts for Known {
        fn serves(&self, instance: &EntityName) -> Result<(), String> {
            if self.down.contains(&instance.as_str()) {
                Err("it does not answer".into())
            } else {
                Ok(())
            }
        }
        fn lag(&self, instance: &EntityName, _: &str) -> Option<Span> {
            self.lag.get(instance.as_str()).map(|secs| Span::secs(*secs))
        }
        fn used(&self, _: &EntityName, _: &str) -> f64 {
            self.used
        }
        fn group_on(&self, _: &str, host: &EntityName) -> Option<String> {
            self.group
                .filter(|group| *group == host.as_str())
                .map(|_| "other".into())
        }
    }

    fn service(extra: &str) -> Service {
        let yaml = format!(
            "{{name: s, active: a, standbys: [{{entity: b, lag_signal: lag, class: warm}}, {{entity: c, lag_signal: lag}}], \
             playbook: p, probe: {{uses: tcp}}{extra}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn ranked(service: &Service, known: &Known) -> (Vec<String>, String) {
        let mut topology = Topology::new();
        for name in ["b", "c"] {
            let attributes = [("capacity.cpu".to_owned(), "4".to_owned())].into();
            let entity = Entity {
                name: name.into(),
                kind: EntityKind::Service,
                period: None,
                group: None,
                attributes,
            };
            topology.apply(&TopologyChange::Entity { entity });
        }
        let from = "a".into();
        let choice = choose(service, &from, &topology, known);
        let problem = Problem {
            service,
            from: &from,
            topology: &topology,
            facts: known,
        };
        check(&problem, &choice).unwrap();
        let why = choice
            .rejected
            .iter()
            .map(|(entity, why)| format!("{entity}: {why}; "))
            .collect();
        (
            choice.ranked.iter().map(|(entity, _)| entity.to_string()).collect(),
            why,
        )
    }

    #[test]
    fn the_readiest_comes_first() {
        assert_eq!(ranked(&service(""), &Known::default()).0, ["c", "b"]);
    }

    #[test]
    fn a_dead_standby_is_refused_with_the_reason() {
        let (names, why) = ranked(
            &service(""),
            &Known {
                down: vec!["c"],
                ..Known::default()
            },
        );
        assert_eq!(names, ["b"]);
        assert!(why.contains("c: it does not answer"), "{why}");
    }

    #[test]
    fn data_older_than_the_rpo_or_of_unknown_age_is_refused() {
        let known = Known {
            lag: [("b", 5), ("c", 90)].into(),
            ..Known::default()
        };
        let (names, why) = ranked(&service(", rpo: 60s"), &known);
        assert_eq!(names, ["b"]);
        assert!(why.contains("1m30s behind"), "{why}");
        assert!(ranked(&service(", rpo: 60s"), &Known::default()).0.is_empty());
    }

    #[test]
    fn capacity_and_affinity_hold() {
        let known = Known {
            used: 3.0,
            ..Known::default()
        };
        assert_eq!(ranked(&service(", demands: {cpu: 1}"), &known).0, ["c", "b"]);
        assert!(
            ranked(&service(", demands: {cpu: 2}"), &known)
                .1
                .contains("1 cpu free of 4")
        );
        let known = Known {
            group: Some("c"),
            ..Known::default()
        };
        assert_eq!(ranked(&service(", anti_affinity: g"), &known).0, ["b"]);
    }
}
