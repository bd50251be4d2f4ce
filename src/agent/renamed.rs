//! Services that the journal knows and the config does not name any more: what was done to one of them is not forgotten because it has another name now.

use crate::act::Conductor;
use crate::act::journal::{JournalError, Record, ServiceRecord, State};
use crate::act::runner::Entry;
use crate::clock::wall_clock;
use crate::engine::PlanEvent;
use crate::model::plan::Outcome;
use crate::model::{EntityName, Plan, Service, ServiceName};

/// Hands plans of such services to a person instead of going on with them: nobody could prove what they do, and what is there now under another name would be
/// moved beside them.
pub fn hand_over(conductor: &Conductor, state: &mut State, services: &[Service]) -> Result<(), JournalError> {
    let open = state.open.values().map(|(plan, _)| plan);
    let gone: Vec<Plan> = open.filter(|plan| !names(services, &plan.service)).cloned().collect();
    for plan in gone {
        let (id, service) = (&plan.id, &plan.service);
        let reason = format!(
            "plan {id} was moving '{service}' from {} to {} when the agent ended, and the config names no '{service}' any more",
            plan.from, plan.to
        );
        tracing::error!("{reason}: it is not gone on with; look where it runs");
        let outcome = Outcome::HandedOver { reason };
        let plan = id.clone();
        let record = Record::Plan {
            at: wall_clock(),
            entry: Entry::End { plan, outcome },
        };
        conductor.note(&record)?;
        state.apply(&record);
    }
    Ok(())
}

/// What the engine is told of services that no journal knows and that seem to be what was called otherwise before.
pub fn taken_on(state: &State, services: &[Service]) -> Vec<PlanEvent> {
    let new = services
        .iter()
        .filter(|service| !state.services.contains_key(&service.name));
    let taken = |service: &Service| {
        let gone = state.services.values().filter(|known| !names(services, &known.service));
        gone.into_iter().find_map(|known| Some((known, why(service, known)?)))
    };
    new.filter_map(|service| {
        let (known, why) = taken(service)?;
        let there = known.active.as_ref().filter(|active| has(service, active));
        // Of one that was moved the engine is told under its own name as well, and no budget is to count twice.
        let begun = match known.active {
            Some(_) => Vec::new(),
            None => known.begun.clone(),
        };
        Some(PlanEvent::Restored {
            service: service.name.clone(),
            active: there.unwrap_or(&service.active).clone(),
            moved: known.moved,
            named: known.named.iter().cloned().collect(),
            took: known.took.clone(),
            running: None,
            taken_back: known.taken_back,
            handed_over: Some(why),
            begun,
        })
    })
    .collect()
}

/// What a person has to settle first, if anything.
fn why(service: &Service, known: &ServiceRecord) -> Option<String> {
    let (name, before) = (&service.name, &known.service);
    let send = format!("look where it runs, and say so: jurymast failback {name} --to INSTANCE");
    let mut touched = known.named.iter().chain(&known.active);
    if let Some(why) = known
        .handed_over
        .as_ref()
        .filter(|_| touched.any(|at| has(service, at)))
    {
        return Some(format!(
            "it seems to be what was '{before}', which needs a person: {why}; {send}"
        ));
    }
    let active = known.active.as_ref().filter(|active| has(service, active))?;
    (*active != service.active).then(|| {
        format!("it seems to be what was '{before}', which runs on {active}: say 'active: {active}' in the config, or {send}")
    })
}

fn names(services: &[Service], name: &ServiceName) -> bool {
    services.iter().any(|service| service.name == *name)
}

fn has(service: &Service, at: &EntityName) -> bool {
    service.instances().any(|instance| instance == at)
}

#[cfg(test)]
mod tests {
    use super::super::restored;
    use super::*;
    use crate::config::Config;
    use crate::model::Timestamp;

    /// `web`, moved to b.
    fn away() -> State {
        let mut record = ServiceRecord::new("web".into());
        record.active = Some("b".into());
        record.begun = vec![(Timestamp::from_secs(1), "a".into())];
        State::read(&[Record::Service(record)])
    }

    fn told(state: &State, config: &str) -> Vec<(String, Option<String>, usize)> {
        let config = format!("services: [{{{config}, playbook: haproxy-switch, probe: {{uses: tcp}}}}]\n");
        let config = Config::parse(&config).unwrap_or_else(|error| panic!("{}", error.message));
        let events = restored(state, &config.services).into_iter();
        events
            .filter_map(|event| match event {
                PlanEvent::Restored {
                    service,
                    handed_over,
                    begun,
                    ..
                } => Some((service.to_string(), handed_over, begun.len())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_was_away_needs_a_person_under_another_name_and_its_moves_count_once() {
        let told_of = told(&away(), "name: shop, active: a, standbys: [{entity: b}]");
        let [web, shop] = &told_of[..] else {
            panic!("{told_of:?}")
        };
        assert_eq!((web.0.as_str(), web.2), ("web", 1));
        assert_eq!((shop.0.as_str(), shop.2), ("shop", 0));
        assert!(
            shop.1
                .as_ref()
                .is_some_and(|why| why.contains("'web', which runs on b"))
        );
    }

    #[test]
    fn who_says_where_it_runs_and_who_has_nothing_to_do_with_it_needs_nobody() {
        for config in [
            "name: shop, active: b, standbys: [{entity: a}]",
            "name: shop, active: a, standbys: [{entity: c}]",
            "name: web, active: a, standbys: [{entity: b}]",
        ] {
            let told = told(&away(), config);
            assert!(
                told.iter().all(|(name, why, _)| name == "web" && why.is_none()),
                "{told:?}"
            );
        }
    }
}
