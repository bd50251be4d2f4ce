//! Simulated worlds: every law holds whatever goes wrong, and a rule that is broken on purpose is noticed.

use jurymast::sim::{Mutant, Stats, run};

#[test]
fn every_law_holds_in_worlds_where_everything_goes_wrong() {
    let mut sum = Stats::default();
    for seed in 0..40 {
        match run(seed, None) {
            Ok(stats) => sum.add(&stats),
            Err(broken) => panic!("seed {seed}: {broken}\nagain: jurymast sim --seed {seed}"),
        }
    }
    // Worlds in which nothing happens prove nothing.
    for (what, count) in [
        ("plans done", sum.done),
        ("plans taken back", sum.taken_back),
        ("plans handed over", sum.handed_over),
        ("plans resumed", sum.resumed),
        ("crashes", sum.crashes),
        ("messages lost", sum.lost),
        ("messages twice", sum.twice),
        ("messages late", sum.late),
        ("writes that failed", sum.writes_failed),
        ("agents that stood still", sum.stood_still),
        ("takeovers", sum.taken_over),
        ("writes refused by the store", sum.refused),
    ] {
        assert!(count > 0, "no {what} in {sum:?}");
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 2, 6] {
        assert_eq!(run(seed, None).unwrap(), run(seed, None).unwrap());
    }
    assert_ne!(run(1, None).unwrap().digest, run(7, None).unwrap().digest);
}

/// The law that each mutant breaks, and within how many worlds it is noticed.
#[test]
fn a_rule_that_is_broken_on_purpose_is_noticed() {
    for mutant in Mutant::ALL {
        let laws: &[&str] = match mutant {
            Mutant::NoFence | Mutant::NoSeal | Mutant::SealOnlyLower => &["never two actives"],
            // What is forgotten shows in what is obeyed, or at once in what that opens.
            Mutant::TokenNotPersisted => &["tokens only grow", "never two actives"],
            Mutant::EpochNotCounted => &["tokens only grow"],
            Mutant::JournalAfterEffect => &["no effect without its record"],
            Mutant::LeaseNotChecked => &["no step without the lease"],
            Mutant::PermitIgnored => &["no move when a gate refuses"],
            Mutant::RepeatedBlindly => &["each effect exactly once"],
            // A plan that is over is found again, or an entry of it in the midst of another.
            Mutant::RepeatedWrites => &[
                "each effect exactly once",
                "never two actives",
                "no effect without its record",
                "tokens only grow",
                "what is called done is done",
            ],
        };
        let broken = (0..WORLDS).find_map(|seed| run(seed, Some(mutant)).err());
        let broken = broken.unwrap_or_else(|| panic!("{mutant:?} is not noticed in {WORLDS} worlds"));
        assert!(laws.contains(&broken.law), "{mutant:?}: {broken}");
    }
}

const WORLDS: u64 = 1000;
