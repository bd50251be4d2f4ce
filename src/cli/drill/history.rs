//! Drills as the agent has kept them, and where they tend.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::agent::drilling;
use crate::cli::{Ended, Outcome, Output, table};
use crate::config::Loaded;
use crate::model::{Drill, DrillKind, ServiceName};

/// Drills that are listed; the trend is of all.
const LISTED: usize = 50;

/// A switch that takes so many times the median of those before it is slower than they were.
const SLOWER: f64 = 1.5;

/// Where the drills of a service in one way tend.
#[derive(Debug, PartialEq, Serialize)]
struct Trend {
    service: ServiceName,
    kind: DrillKind,
    drills: usize,
    good: usize,
    /// Of the latest good real one.
    switch_s: Option<f64>,
    /// Of the good ones before it.
    median_s: Option<f64>,
    slower: bool,
}

pub fn run(config: &Path, services: &[String], output: Output) -> Outcome {
    let loaded = Loaded::read(config).map_err(|errors| errors.to_string())?;
    let dir = &loaded.config.agent.data_dir;
    let (mut drills, bad) = drilling::history(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    drills.retain(|drill| services.is_empty() || services.iter().any(|name| name == drill.service.as_str()));
    if bad > 0 {
        eprintln!(
            "note: {bad} lines of {} cannot be read",
            dir.join(drilling::FILE).display()
        );
    }
    let trends = trends(&drills);
    if output == Output::Json {
        println!("{:#}", json!({"drills": drills, "trends": trends}));
    } else if drills.is_empty() {
        println!("no drill is known in {}", dir.display());
    } else {
        let first = drills.len().saturating_sub(LISTED);
        let rows: Vec<Vec<String>> = drills[first..].iter().map(row).collect();
        table(&["BEGAN", "SERVICE", "KIND", "BY", "RESULT", "HOW IT WENT"], &rows);
        println!();
        for trend in &trends {
            println!("{}", told(trend));
        }
    }
    // The latest of each is what counts.
    let mut latest: BTreeMap<(&ServiceName, DrillKind), &Drill> = BTreeMap::new();
    latest.extend(drills.iter().map(|drill| ((&drill.service, drill.kind), drill)));
    let good = latest.values().all(|drill| drill.is_good());
    Ok(if good { Ended::Good } else { Ended::Bad })
}

fn row(drill: &Drill) -> Vec<String> {
    vec![
        drill.begun.to_string().chars().take(19).collect(),
        drill.service.to_string(),
        drill.kind.word().to_owned(),
        drill.by.clone(),
        if drill.is_good() { "good" } else { "BAD" }.to_owned(),
        drill.summary(),
    ]
}

fn trends(drills: &[Drill]) -> Vec<Trend> {
    let mut by: BTreeMap<(&ServiceName, DrillKind), Vec<&Drill>> = BTreeMap::new();
    for drill in drills {
        by.entry((&drill.service, drill.kind)).or_default().push(drill);
    }
    let trend = |((service, kind), drills): ((&ServiceName, DrillKind), Vec<&Drill>)| {
        let good = drills.iter().filter(|drill| drill.is_good()).count();
        let mut switches: Vec<f64> = drills.iter().filter_map(|drill| drill.switch_s()).collect();
        let switch_s = switches.pop();
        switches.sort_by(f64::total_cmp);
        let median_s = switches.get(switches.len() / 2).copied();
        Trend {
            service: service.clone(),
            kind,
            drills: drills.len(),
            good,
            switch_s,
            median_s,
            slower: switch_s
                .zip(median_s)
                .is_some_and(|(now, before)| now > before * SLOWER),
        }
    };
    by.into_iter().map(trend).collect()
}

fn told(trend: &Trend) -> String {
    let mut text = format!(
        "{} ({}): {} drills, {} good",
        trend.service,
        trend.kind.word(),
        trend.drills,
        trend.good
    );
    if let Some(now) = trend.switch_s {
        text += &format!("; the last switch took {now:.2} s");
    }
    if let Some(median) = trend.median_s {
        let word = if trend.slower { "SLOWER than" } else { "as" };
        text += &format!(", {word} those before it (median {median:.2} s)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::drill::Leg;
    use crate::model::plan::Outcome;
    use crate::model::{PlanId, Span, Timestamp};

    fn real(millis: i64) -> Drill {
        let leg = Leg {
            plan: PlanId("web-1-1".into()),
            from: "a".into(),
            to: "b".into(),
            begun: Timestamp::EPOCH,
            ended: Some(Timestamp::from_millis(millis)),
            outcome: Some(Outcome::Done { active: "b".into() }),
        };
        Drill {
            service: "web".into(),
            kind: DrillKind::Real,
            asked: String::new(),
            by: String::new(),
            begun: Timestamp::EPOCH,
            ended: Some(Timestamp::from_millis(millis)),
            from: "a".into(),
            to: Some("b".into()),
            stay: Span::default(),
            legs: vec![leg],
            looks: 0,
            notice_s: 0.0,
            rto_objective_s: 9.0,
            rpo_s: None,
            rpo_objective_s: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_switch_that_takes_longer_than_those_before_is_told() {
        let steady = trends(&[real(400), real(500), real(450)]);
        assert_eq!((steady[0].drills, steady[0].good, steady[0].slower), (3, 3, false));
        let slower = trends(&[real(400), real(500), real(450), real(900)]);
        assert!(
            slower[0].slower && told(&slower[0]).contains("SLOWER"),
            "{}",
            told(&slower[0])
        );
        assert_eq!(trends(&[real(400)])[0].median_s, None);
    }
}
