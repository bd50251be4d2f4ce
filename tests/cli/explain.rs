//! `docs/explain.md` shows what `jurymast explain` says of recorded incidents: written by this test, so that it never goes stale.
//!
//! `UPDATE_DOCS=1 cargo test --test cli explain` writes it anew.

use std::path::Path;
use std::process::Command;

/// Capsule, incident, and what to look at.
const SHOWN: &[(&str, u32, &str)] = &[
    (
        "broker-loss",
        1,
        "The broker of a plant dies. Sixty devices, three gateways and three hosts fall silent; one cause explains them all, and the ways show through \
         whom. Without the broker's own refusal the gateways would be suspected, or a line. A move would take the trouble along, so it is not made, and its costs say so.",
    ),
    (
        "host-loss",
        1,
        "A machine vanishes. That its service cannot be reached matters far more than that its heartbeat stops: without the first nothing known would explain the rest. \
         Leaving the machine is the cure, and by far the cheapest.",
    ),
    (
        "shared-dependency",
        1,
        "The store dies that every instance of a service needs. Each instance says that it is ill, and none of them is at fault.",
    ),
    (
        "poisoned-message",
        1,
        "A sensor sends what kills its readers. The way from the sensor to those readers leads through the gateway and the broker that they share.",
    ),
    (
        "generated/databases-10-connections-are-few-and-the-primary-refuses-all",
        1,
        "The primary of a pair refuses. Something replicates to it, so a move is the cure.",
    ),
    (
        "generated/services-10-the-active-waits-for-a-database-that-gives-no",
        1,
        "An instance hangs, and so does its database: who waits for whom? Without the database's part the instance would be suspected, and moved in vain.",
    ),
    (
        "generated/hosts-01-nothing-on-a-machine-can-be-connected-to",
        1,
        "All that is known is that one instance cannot be reached. Its machine, or itself? A move cures either, so it is made; what would settle it is a look at the other \
         instance on that machine. Where such a look is at an instance of a service of ours, the agent probes it without being asked.",
    ),
];

const HEAD: &str = "# What `explain` says\n\n\
    `jurymast explain ID` asks a running agent, `jurymast explain ID --capsule DIR` a recorded incident as it stood when it was decided about; `-o json` gives the same to\n\
    programs, as does `GET /api/incidents/ID` under `explanation`, and the page shows it under *evidence*.\n\n\
    | sign | it says |\n| --- | --- |\n\
    | `+` | what speaks for a cause |\n| `-` | what speaks against it: what it should show and does not, what it leaves unexplained |\n\
    | `>` | the way along the graph from its place to what it explains |\n\
    | *without a part of it* | what would be thought had that part of the evidence not been seen: the causes are weighed anew without it |\n\
    | *what would settle it* | the look after which, on average, least doubt is left, with what each answer would mean |\n\
    | *statistical ranking* | where no pattern explains it well: who may be at the root, by signals, onsets and the graph alone. It names a place and no fault, so nothing is moved for it |\n\
    | *expected costs* | of each remedy, over all causes that may be meant, in the unit of `policy.costs` (by default minutes of downtime) |\n\n\
    Written from `datasets/` by `UPDATE_DOCS=1 cargo test --test cli explain`.\n";

#[test]
fn the_page_shows_what_is_said_now() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut page = HEAD.to_owned();
    for (capsule, id, comment) in SHOWN {
        let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .current_dir(root)
            .args(["explain", &id.to_string(), "--capsule", &format!("datasets/{capsule}")])
            .output()
            .unwrap();
        let told = String::from_utf8(ran.stdout).unwrap();
        assert!(
            ran.status.success(),
            "{capsule}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        for word in ["seen:", "causes:", "verdicts:", "expected costs"] {
            assert!(told.contains(word), "{capsule} has no '{word}'");
        }
        page += &format!(
            "\n## {capsule}\n\n{comment}\n\n```\n$ jurymast explain {id} --capsule datasets/{capsule}\n{told}```\n"
        );
    }
    for word in ["without a part of it:", "what would settle it:", "  > "] {
        assert!(page.contains(word), "no example shows '{word}'");
    }
    let path = root.join("docs/explain.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/explain.md is stale: UPDATE_DOCS=1 cargo test --test cli explain writes it anew"
    );
}

#[test]
fn programs_get_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .current_dir(root)
        .args(["explain", "1", "--capsule", "datasets/host-loss", "-o", "json"])
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told["explanation"]["causes"][0]["fault"], "host-down");
    assert_eq!(
        told["explanation"]["causes"][0]["paths"][0],
        "host-a → carries ingest-a"
    );
    assert!(told["explanation"]["without"][0]["probability"].as_f64().unwrap() > 0.0);
    assert_eq!(told["verdicts"][0]["costs"][0]["remedy"], "failover");
}
