//! Two faults at once that share a site: the cases of the patterns, two by two, the second one of a single symptom.

use super::*;

/// Pairs that are played, spread over all.
const PAIRS: usize = 60;

/// The same case with other names.
fn renamed(case: &PatternCase) -> PatternCase {
    let other = |name: &str| format!("x-{name}");
    let words = |line: &str, places: &[usize]| -> String {
        let words = line.split_whitespace().enumerate();
        let words: Vec<String> = words
            .map(|(place, word)| {
                if places.contains(&place) {
                    other(word)
                } else {
                    word.to_owned()
                }
            })
            .collect();
        words.join(" ")
    };
    let mut case = case.clone();
    for names in case.entities.values_mut() {
        for name in names {
            *name = other(name);
        }
    }
    case.edges = case.edges.iter().map(|edge| words(edge, &[0, 2])).collect();
    case.shows = case.shows.iter().map(|line| words(line, &[1])).collect();
    case.well = case.well.iter().map(|name| other(name)).collect();
    for one in case.instances.iter_mut().flatten() {
        *one = other(one.as_str()).into();
    }
    for expected in &mut case.expect {
        expected.at = expected.at.as_ref().map(|at| other(at.as_str()).into());
    }
    case
}

/// Both in one site, the second some time later.
fn together(first: &PatternCase, second: &PatternCase, later: Duration) -> PatternCase {
    let second = renamed(second);
    let mut both = first.clone();
    both.case = format!("{} | {}", first.case, second.case);
    for (kind, names) in second.entities {
        both.entities.entry(kind).or_default().extend(names);
    }
    let all: Vec<String> = both.entities.values().flatten().cloned().collect();
    both.edges.extend(second.edges);
    both.edges.extend(all.iter().map(|name| format!("{name} in_zone site")));
    both.entities.entry(EntityKind::Zone).or_default().push("site".into());
    both.instances.extend(second.instances);
    for line in &second.shows {
        let (after, rest) = line.split_once(' ').unwrap();
        let after: Span = after.parse().unwrap();
        both.shows.push(format!("{} {rest}", Span(after.0 + later)));
    }
    both.well.extend(second.well);
    both.after = Span(first.after.0.max(second.after.0 + later));
    both.expect.extend(second.expect);
    both.never.clear();
    both
}

/// Which of the expected faults are the most probable of an incident.
fn named(case: &PatternCase, library: &Arc<Library>) -> Vec<bool> {
    let incidents = play(case, library, &Settings::default()).unwrap();
    let is_top = |expected: &Expected| {
        incidents.iter().any(|incident| {
            let top = incident.top();
            top.is_some_and(|top| top.fault == expected.fault && Some(&top.entity) == expected.at.as_ref())
        })
    };
    case.expect.iter().map(is_top).collect()
}

#[test]
fn a_second_fault_of_a_single_symptom_is_named_beside_the_first() {
    let library = Arc::new(Library::builtin());
    let cases: Vec<PatternCase> = tests::FILES
        .iter()
        .flat_map(|(_, text)| read_cases(text).unwrap())
        .filter(|case| case.after.0 <= Duration::from_secs(60))
        .filter(|case| matches!(case.expect.as_slice(), [one] if one.fault.as_str() != "something-else" && one.at.is_some()))
        .collect();
    let symptoms = |case: &PatternCase| case.shown().unwrap().len();
    let many: Vec<&PatternCase> = cases.iter().filter(|case| symptoms(case) > 1).collect();
    let single: Vec<&PatternCase> = cases.iter().filter(|case| symptoms(case) == 1).collect();
    // In the same second, where the hour tells nothing.
    let (mut first_named, mut both_named, mut lost) = (0, 0, Vec::new());
    for n in 0..PAIRS {
        let (first, second) = (many[n * 7 % many.len()], single[(n * 11 + n / 13) % single.len()]);
        let found = named(&together(first, second, Duration::ZERO), &library);
        first_named += usize::from(found[0]);
        let both = found.iter().all(|named| *named);
        both_named += usize::from(both);
        if !both {
            lost.push(format!(
                "{}: {}, {}: {}",
                first.expect[0].fault, found[0], second.expect[0].fault, found[1]
            ));
        }
    }
    println!("first {first_named}, both {both_named} of {PAIRS}: {lost:#?}");
    assert!(first_named * 20 >= PAIRS * 19, "{first_named} of {PAIRS}: {lost:#?}");
    assert!(both_named * 5 >= PAIRS * 3, "{both_named} of {PAIRS}: {lost:#?}");
}
