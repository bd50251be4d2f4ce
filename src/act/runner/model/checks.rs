//! Which designs hold, and which end in two actives.

use super::*;

fn counted(design: Design, what: &str) {
    let checker = design.checker().threads(2).spawn_bfs().join();
    println!("{what}: {} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn two_agents_never_make_two_actives() {
    counted(USED, "2 agents, 2 epochs, 3 nodes");
}

#[test]
fn three_agents_never_make_two_actives() {
    let three = Design {
        agents: 3,
        dies: false,
        ..USED
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
        ..USED
    };
    let weaker = [
        ("lease only", bare),
        ("with tokens", Design { tokens: true, ..bare }),
        (
            "with tokens and a journal that is not compared",
            Design {
                compared: false,
                ..USED
            },
        ),
        (
            "with a compared journal and no tokens",
            Design { tokens: false, ..USED },
        ),
        (
            "with names forgotten when a plan is complete",
            Design {
                names_kept: false,
                agents: 3,
                dies: false,
                ..USED
            },
        ),
        ("with targets that forget", Design { forgets: true, ..USED }),
        ("without seals", Design { seals: false, ..USED }),
    ];
    for (what, design) in weaker {
        let checker = design.checker().threads(2).spawn_bfs().join();
        let found = checker.discovery("never two actives");
        let steps = found.map(|path| path.into_actions().len());
        println!(
            "{what}: two actives after {steps:?} moves, {} states",
            checker.unique_state_count()
        );
        assert!(steps.is_some(), "{what} is not refuted");
    }
}
