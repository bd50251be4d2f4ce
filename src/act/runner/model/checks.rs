//! Which designs hold, and which end in two actives.

use super::design::USED;
use super::*;

fn counted(design: Design, what: &str) {
    let checker = design.checker().threads(2).spawn_bfs().join();
    println!("{what}: {} states", checker.unique_state_count());
    checker.assert_properties();
}

/// Every answer comes some time, however late.
const HEARD: Design = Design { silence: false, ..USED };

#[test]
fn two_agents_never_make_two_actives() {
    counted(HEARD, "2 agents, 2 epochs, 3 nodes");
}

/// A promote that goes unanswered is looked for, not found, and the next target tried; then it arrives.
#[test]
fn an_agent_that_goes_on_to_the_next_target_never_makes_two_actives() {
    let one = Design { agents: 1, ..USED };
    let checker = one.checker().threads(2).spawn_bfs().join();
    println!(
        "1 agent, 3 nodes, answers lost: {} states",
        checker.unique_state_count()
    );
    checker.assert_no_discovery("never two actives");
}

#[test]
#[ignore = "millions of states: cargo test --release --lib model -- --ignored"]
fn two_agents_that_hear_nothing_never_make_two_actives() {
    counted(USED, "2 agents, 2 epochs, 3 nodes, answers lost");
}

#[test]
fn three_agents_never_make_two_actives() {
    let three = Design {
        agents: 3,
        dies: false,
        ..HEARD
    };
    counted(three, "3 agents, 3 epochs, 3 nodes");
}

#[test]
fn each_weaker_design_ends_in_two_actives() {
    let bare = Design {
        tokens: false,
        journal: false,
        compared: false,
        seals: false,
        ..HEARD
    };
    let weaker = [
        ("lease only", bare),
        ("with tokens", Design { tokens: true, ..bare }),
        (
            "with tokens and a journal that is not compared",
            Design {
                compared: false,
                ..HEARD
            },
        ),
        (
            "with a compared journal and no tokens",
            Design { tokens: false, ..HEARD },
        ),
        ("with targets that forget", Design { forgets: true, ..HEARD }),
        ("with a journal that is emptied", Design { empties: true, ..HEARD }),
        // The first promote is still on the wire when the next target is.
        ("without seals", Design { seals: false, ..USED }),
    ];
    for (what, design) in weaker {
        let checker = design.checker().threads(2).spawn_dfs().join();
        let found = checker.discovery("never two actives");
        let steps = found.map(|path| path.into_actions().len());
        println!(
            "{what}: two actives, {steps:?} moves, {} states looked at",
            checker.unique_state_count()
        );
        assert!(steps.is_some(), "{what} is not refuted");
    }
}
