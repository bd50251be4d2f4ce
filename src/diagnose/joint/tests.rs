//! The search against trying all sets, and the faults that it is for.

use super::*;
use proptest::prelude::*;

/// Every set, one after the other.
fn best_of_all(problem: &Problem) -> f64 {
    let sets = 0..1_u32 << problem.faults.len();
    let worths = sets.map(|bits| {
        let set: Vec<usize> = (0..problem.faults.len())
            .filter(|place| bits >> place & 1 == 1)
            .collect();
        problem.worth(&set)
    });
    worths.fold(f64::NEG_INFINITY, f64::max)
}

fn problem(faults: impl Strategy<Value = usize>) -> impl Strategy<Value = Problem> {
    let symptoms = 1..12_usize;
    (symptoms, faults).prop_flat_map(|(symptoms, faults)| {
        let prices = prop::collection::btree_map(0..symptoms as u32, -4.0..0.0_f64, 1..=symptoms);
        let fault = (-12.0..-0.5_f64, prices).prop_map(|(base, prices)| Candidate {
            base,
            prices: prices.into_iter().collect(),
        });
        let unexplained = prop::collection::vec(-6.0..-1.0_f64, symptoms);
        (unexplained, prop::collection::vec(fault, faults))
            .prop_map(|(unexplained, faults)| Problem { unexplained, faults })
    })
}

proptest! {
    #[test]
    fn of_few_faults_the_best_set_is_found_and_proven(problem in problem(0..=EXACT)) {
        let choice = problem.solve();
        prop_assert!(choice.proven);
        prop_assert!((problem.worth(&choice.faults) - best_of_all(&problem)).abs() < 1e-6);
    }

    #[test]
    fn the_order_of_the_faults_changes_nothing_of_what_is_found(problem in problem(0..=EXACT)) {
        let mut turned = problem.clone();
        turned.faults.reverse();
        let last = problem.faults.len().saturating_sub(1);
        let mut other: Vec<usize> = turned.solve().faults.iter().map(|place| last - place).collect();
        other.sort_unstable();
        prop_assert_eq!(problem.solve().faults, other);
    }

    #[test]
    fn of_many_no_single_exchange_betters_what_is_found(problem in problem(30..60_usize)) {
        let choice = problem.solve();
        let worth = problem.worth(&choice.faults);
        for place in 0..problem.faults.len() {
            let mut other = choice.faults.clone();
            match other.binary_search(&place) {
                Ok(at) => {
                    other.remove(at);
                }
                Err(at) => other.insert(at, place),
            }
            prop_assert!(problem.worth(&other) <= worth + 1e-6);
        }
    }
}

/// Gateways of three devices each and the broker behind all of them, which costs so much.
fn gateways(count: u32, broker: f64) -> Problem {
    let devices = |gateway: u32| (gateway * 3..gateway * 3 + 3).map(|device| (device, -0.05));
    let mut faults: Vec<Candidate> = (0..count)
        .map(|gateway| Candidate {
            base: -3.0,
            prices: devices(gateway).collect(),
        })
        .collect();
    faults.push(Candidate {
        base: broker,
        prices: (0..count).flat_map(devices).collect(),
    });
    Problem {
        unexplained: vec![-3.9; count as usize * 3],
        faults,
    }
}

#[test]
fn three_small_causes_are_preferred_to_one_large_one_that_explains_them_badly() {
    assert_eq!(gateways(3, -16.0).solve().faults, [0, 1, 2]);
    assert_eq!(gateways(3, -8.0).solve().faults, [3]);
    assert_eq!(gateways(40, -119.0).solve().faults, [40]);
    assert_eq!(gateways(40, -121.0).solve().faults, (0..40).collect::<Vec<_>>());
}

#[test]
fn what_nobody_explains_well_is_left_over() {
    let mut problem = gateways(2, -30.0);
    problem.unexplained[5] = -0.01;
    problem.unexplained[4] = -0.01;
    problem.faults[1].base = -4.0;
    assert_eq!(problem.solve().faults, [0]);
    assert_eq!(Problem::default().solve().faults, Vec::<usize>::new());
}
