//! The cases that come with the patterns, and what is refused.

use super::*;

pub(super) const FILES: &[(&str, &str)] = &[
    ("services", include_str!("../../../rules/patterns/tests/services.yml")),
    ("load", include_str!("../../../rules/patterns/tests/load.yml")),
    ("hosts", include_str!("../../../rules/patterns/tests/hosts.yml")),
    ("networks", include_str!("../../../rules/patterns/tests/networks.yml")),
    ("brokers", include_str!("../../../rules/patterns/tests/brokers.yml")),
    ("gateways", include_str!("../../../rules/patterns/tests/gateways.yml")),
    ("devices", include_str!("../../../rules/patterns/tests/devices.yml")),
    ("databases", include_str!("../../../rules/patterns/tests/databases.yml")),
    (
        "kubernetes",
        include_str!("../../../rules/patterns/tests/kubernetes.yml"),
    ),
    (
        "certificates",
        include_str!("../../../rules/patterns/tests/certificates.yml"),
    ),
    ("releases", include_str!("../../../rules/patterns/tests/releases.yml")),
    ("senses", include_str!("../../../rules/patterns/tests/senses.yml")),
    ("incidents", include_str!("../../../rules/patterns/tests/incidents.yml")),
    ("nights", include_str!("../../../rules/patterns/tests/nights.yml")),
    ("mornings", include_str!("../../../rules/patterns/tests/mornings.yml")),
];

#[test]
fn every_fault_is_found_in_its_case_and_not_in_its_look_alike() {
    let library = Arc::new(Library::builtin());
    let (mut wrong, mut tested) = (Vec::new(), BTreeSet::new());
    for (name, text) in FILES {
        for result in run_cases(text, &library, &Settings::default()).unwrap() {
            tested.extend(result.expects);
            wrong.extend(
                result
                    .problems
                    .iter()
                    .map(|problem| format!("{name}: {}: {problem}", result.case)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let untested: Vec<_> = library
        .patterns()
        .filter(|p| !tested.contains(&p.name))
        .map(|p| &p.name)
        .collect();
    assert!(untested.is_empty(), "no case expects {untested:?}");
}

/// Kept out of the pairs: they are several faults already.
#[test]
fn several_faults_are_told_from_one_and_what_is_out_of_time_from_an_effect() {
    let text = include_str!("../../../rules/patterns/tests/together.yml");
    let results = run_cases(text, &Arc::new(Library::builtin()), &Settings::default()).unwrap();
    let wrong: Vec<String> = results
        .iter()
        .filter(|result| !result.problems.is_empty())
        .map(|result| format!("{}: {}", result.case, result.problems.join("; ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(results.len() > 10);
}

#[test]
fn every_fault_has_a_look_alike_in_which_it_must_not_be_named() {
    let mut never = BTreeSet::new();
    for (_, text) in FILES {
        never.extend(read_cases(text).unwrap().into_iter().flat_map(|case| case.never));
    }
    let library = Library::builtin();
    let lacking: Vec<_> = library
        .patterns()
        .filter(|p| !never.contains(&p.name))
        .map(|p| &p.name)
        .collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

const CASE: &str = "
- case: a crash
  entities: {service: [a, b]}
  instances: [[a, b]]
  shows: [0s a refused]
  well: [b]
  after: 1s
  expect: [{fault: service-crashed, at: a}]
";

#[test]
fn a_wrong_expectation_fails() {
    let library = Arc::new(Library::builtin());
    let problems = |text: &str| {
        run_cases(text, &library, &Settings::default())
            .unwrap()
            .remove(0)
            .problems
    };
    assert!(problems(CASE).is_empty());
    for wrong in [
        CASE.replace("service-crashed, at: a", "service-hung, at: a"),
        CASE.replace("service-crashed, at: a", "service-crashed, at: b"),
        CASE.replace("service-crashed, at: a", "service-crashed, at: a, probability: 0.999"),
        CASE.replace("[{fault: service-crashed, at: a}]", "[]"),
        format!("{CASE}  never: [service-crashed]\n"),
    ] {
        assert!(!problems(&wrong).is_empty(), "{wrong}");
    }
}

#[test]
fn a_case_that_cannot_be_read_says_why() {
    let library = Arc::new(Library::builtin());
    for (text, word) in [
        (CASE.replace("0s a refused", "0s c refused"), "'c' is not among"),
        (CASE.replace("0s a refused", "0s a refuse"), "refuse"),
        (CASE.replace("0s a refused", "soon a refused"), "soon"),
        (CASE.replace("0s a refused", "0s a"), "TIME ENTITY KIND"),
        (CASE.replace("[a, b]}", "['a{5-1}']}"), "not a range"),
        (CASE.replace("after: 1s", "after: 2d"), "is the most"),
        (CASE.replace("well:", "wel:"), "wel"),
    ] {
        let error = run_cases(&text, &library, &Settings::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// A detector that learned what is usual is wrong now and then. Only a pattern that says of which signal it speaks may have a service moved for it.
#[test]
fn nothing_is_moved_for_a_learned_finding_of_just_any_signal() {
    let learned = [
        SymptomKind::Anomaly,
        SymptomKind::Drift,
        SymptomKind::Stuck,
        SymptomKind::Unit,
        SymptomKind::Joint,
        SymptomKind::Decoupled,
        SymptomKind::Apart,
        SymptomKind::Clock,
    ];
    let library = Library::builtin();
    let moving: Vec<_> = library.patterns().filter(|pattern| pattern.moving_helps).collect();
    assert!(moving.len() > 10);
    for pattern in moving {
        let enough = pattern
            .must
            .iter()
            .all(|must| must.signals.is_empty() && must.kinds.iter().any(|kind| learned.contains(kind)));
        assert!(!enough, "{} rests on learned findings of any signal", pattern.name);
    }
}

/// More than are told apart, each by itself, behind a gateway that goes on speaking of all the others.
#[test]
fn very_many_that_fall_one_by_one_are_called_that_and_not_one_fault_at_the_first() {
    let shows: Vec<String> = (1..=60).map(|n| format!("\"{}s d-{n} silent\"", n * 4)).collect();
    let case = format!(
        "
- case: a field of old batteries
  entities: {{gateway: [gw], device: [\"d-{{1-400}}\"]}}
  edges: [\"d-{{1-400}} connects_via gw\"]
  shows: [{}]
  well: [gw, \"d-{{1-400}}\"]
  after: 241s
  expect: []
",
        shows.join(", ")
    );
    let incidents = play(
        &read_cases(&case).unwrap()[0],
        &Arc::new(Library::builtin()),
        &Settings::default(),
    )
    .unwrap();
    let of = |fault: &str| {
        let named = |incident: &&Incident| incident.top().is_some_and(|top| top.fault.as_str() == fault);
        incidents.iter().filter(named).collect::<Vec<_>>()
    };
    let dead = of("device-dead");
    assert!(
        dead.len() > 20 && dead.iter().all(|incident| incident.symptoms.len() == 1),
        "{}",
        dead.len()
    );
    let [rest] = of("one-by-one")[..] else {
        panic!(
            "{:?}",
            incidents
                .iter()
                .map(|i| i.top().map(|top| top.fault.clone()))
                .collect::<Vec<_>>()
        );
    };
    assert_eq!(rest.symptoms.len() + dead.len(), 60);
    let told = rest.top().unwrap().evidence_for.join("; ");
    assert!(
        told.contains("devices fell Silent one by one") && told.contains("nothing in common"),
        "{told}"
    );
}
