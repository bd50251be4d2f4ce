//! A service that has another name in the config when the agent is started anew in the middle of its move.

use std::path::Path;

use crate::harness::{Server, get, logged, wait};

use super::said::World;

/// It stops one, and takes long to start the other.
const SLOW: &str = "
name: p
summary: Stop there, start here.
steps:
  - {name: stop, phase: fence, on: from, uses: exec, with: {argv: [sh, -c, 'echo {from} >> stopped'], observe: ['true']}, undo: {uses: exec, with: {argv: [sh, -c, 'echo back >> started']}}}
  - {name: start, phase: start, uses: exec, timeout: 50s, with: {argv: [sh, -c, 'echo {to} >> starting; sleep 40; echo {to} >> started'], observe: ['false']}}
  - {name: look, phase: verify, uses: probe, with: {times: 1}}
";

#[test]
fn a_plan_of_a_service_that_the_config_no_longer_names_is_left_to_a_person_and_so_is_what_took_its_place() {
    let world = World::new();
    let folder = world.dir.path();
    std::fs::write(folder.join("p.yml"), SLOW).unwrap();
    let agent = Server::agent(folder, world.api, 2);
    let (code, text) = world.says(&["failback", "web", "--to", "b"]);
    assert_eq!(code, 0, "{text}");
    wait("it is being started", || folder.join("starting").exists());
    agent.signal("KILL");
    drop(agent);
    let config = folder.join("jurymast.yml");
    let before = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, before.replace("name: web", "name: shop")).unwrap();
    let log = || get(world.api, "/api/status").unwrap_or_default();
    let agent = Server::start(folder, Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
    wait("a person is asked for", || log().contains("which needs a person"));
    let (_, text) = world.says(&["status"]);
    assert!(
        text.contains("shop NEEDS A PERSON")
            && text.contains("it seems to be what was 'web'")
            && text.contains("from a to b"),
        "{text}"
    );
    assert!(text.contains("0 plans under way"), "{text}");
    // Whatever is wrong with it now is not moved beside what nobody has looked at.
    world.ill.store(true, std::sync::atomic::Ordering::SeqCst);
    world.stopped_by("in-flight");
    // A person has looked: it runs on b.
    let fast = SLOW
        .replace("sleep 40; ", "")
        .replace("observe: ['false']", "observe: ['true']");
    std::fs::write(folder.join("p.yml"), fast).unwrap();
    let reloaded = std::process::Command::new("kill")
        .args(["-HUP", &agent.id().to_string()])
        .status();
    assert!(reloaded.unwrap().success());
    wait("the playbook is read again", || {
        logged(folder, "the config was read again") > 0
    });
    let (code, text) = world.says(&["failback", "shop", "--to", "b"]);
    assert_eq!(code, 0, "{text}");
    wait("it is sent there", || {
        let (_, text) = world.says(&["status"]);
        !text.contains("NEEDS A PERSON") && text.contains("shop     b")
    });
    // What was begun for the one that is gone is told as ended.
    let (_, text) = world.says(&["audit", "list"]);
    assert!(text.contains("handed_over"), "{text}");
}
