//! Capsules from the outside: recorded in pieces and across a reload, damaged, replayed under other rules, shown as a page.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use jurymast::agent::engine_setup;
use jurymast::capsule::{Capsule, Limits, Recording, Redactor, RulesDigest, Source};
use jurymast::config::{Config, Loaded};
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input, Setup};
use jurymast::metrics::Metrics;
use jurymast::model::Catalog;
use jurymast::plan::Playbooks;

use crate::harness::{said, wait};

fn dataset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets").join(name)
}

fn jurymast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .output()
        .unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn setup(config: &Config, catalog: &Catalog) -> Setup {
    let (library, playbooks) = (Arc::new(Library::builtin()), Arc::new(Playbooks::builtin()));
    engine_setup(config, library, playbooks, catalog.clone(), Box::new(Sequential))
}

fn source(text: &str) -> Source {
    let services = Config::parse(text).unwrap().services;
    Source {
        files: vec![("jurymast.yml".into(), text.to_owned())],
        recorded_from: "a test".into(),
        rules: RulesDigest::of(&Library::builtin(), &Playbooks::builtin(), &services),
        redactor: Redactor::default(),
    }
}

/// Records a recorded incident once more, with that limit, reading another config after so many ticks.
fn record(dir: &Path, limits: Limits, reload: Option<(usize, &str)>) -> Metrics {
    let capsule = Capsule::open(&dataset("service-crash")).unwrap();
    let config = Config::parse(&capsule.config).unwrap();
    let catalog = Catalog::new();
    let metrics = Metrics::default();
    let mut engine = Engine::new(setup(&config, &catalog)).unwrap();
    let mut recording =
        Recording::begin(dir, catalog.clone(), source(&capsule.config), limits, metrics.clone()).unwrap();
    let mut effects = Effects::default();
    let mut ticks = 0;
    let mut inputs = Vec::new();
    capsule.inputs(&catalog, |input| inputs.push(input)).unwrap();
    for input in inputs {
        let tick = matches!(input, Input::Tick(_));
        recording.input(&input);
        engine.handle(input, &mut effects);
        effects.log.iter().for_each(|record| recording.decision(record));
        effects.clear();
        if !tick {
            continue;
        }
        ticks += 1;
        // Time for the writer, as a real agent has it between two ticks.
        std::thread::sleep(std::time::Duration::from_millis(1));
        recording.between_ticks();
        if let Some((_, text)) = reload.filter(|(at, _)| *at == ticks) {
            engine.reload(setup(&Config::parse(text).unwrap(), &catalog)).unwrap();
            recording.reloaded(source(text));
        }
    }
    recording.finish();
    metrics
}

/// The same config, under which every move waits for a person.
fn asking(text: &str) -> String {
    text.replace("    playbook:", "    approval: ask\n    playbook:")
}

const ONE: Limits = Limits {
    capsule_bytes_max: Limits::CAPSULE_BYTES_MAX,
    capsules_kept: None,
};

fn folders(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_recording_in_pieces_replays_piece_by_piece_and_only_so_many_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        capsule_bytes_max: 1_000,
        ..ONE
    };
    record(&dir.path().join("run"), limits, None);
    let names = folders(dir.path());
    assert!(names.len() > 2, "{names:?}");
    assert!(!names.iter().any(|name| name.contains(".part")), "{names:?}");
    let replayed = jurymast(&["replay", "-o", "json", &dir.path().display().to_string()]);
    let reports: Vec<serde_json::Value> = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(reports.len(), names.len());
    for report in &reports {
        assert_eq!(report["identical"], true, "{report:#}");
    }
    let few = tempfile::tempdir().unwrap();
    let limits = Limits {
        capsules_kept: Some(2),
        ..limits
    };
    record(&few.path().join("run"), limits, None);
    assert_eq!(folders(few.path()).len(), 3, "two and the last");
    // The first that is left goes on from one that is gone: said, and not called wrong.
    let replayed = jurymast(&["replay", &few.path().display().to_string()]);
    assert!(said(&replayed).contains("which is not there"), "{}", said(&replayed));
}

#[test]
fn a_reload_begins_a_capsule_that_replays_from_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let text = Capsule::open(&dataset("service-crash")).unwrap().config;
    // After it, nothing is moved without asking.
    let other = asking(&text);
    assert!(Config::parse(&other).unwrap() != Config::parse(&text).unwrap());
    record(&dir.path().join("run"), ONE, Some((40, &other)));
    assert_eq!(folders(dir.path()), ["run", "run.2"]);
    let second = Capsule::open(&dir.path().join("run.2")).unwrap();
    assert_eq!(second.config, other);
    let replayed = jurymast(&["replay", "-o", "json", &dir.path().display().to_string()]);
    let reports: Vec<serde_json::Value> = serde_json::from_slice(&replayed.stdout).unwrap();
    for report in &reports {
        assert_eq!(report["identical"], true, "{report:#}");
    }
    assert!(reports[1]["decisions"].as_u64().unwrap() > 0);
}

#[test]
fn a_capsule_has_its_name_only_once_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let begin = || Recording::begin(&path, Catalog::new(), source(""), ONE, Metrics::default());
    let recording = begin().unwrap();
    assert_eq!(folders(dir.path()), ["run.part"]);
    drop(recording);
    assert_eq!(
        folders(dir.path()),
        ["run.part"],
        "a crash leaves what is not whole under its own name"
    );
    std::fs::remove_dir_all(dir.path().join("run.part")).unwrap();
    begin().unwrap().finish();
    assert_eq!(folders(dir.path()), ["run"]);
    assert!(begin().is_err(), "no capsule is written over another");
}

#[test]
fn what_an_agent_that_was_killed_has_recorded_can_be_replayed() {
    let whole = Capsule::open(&dataset("service-crash")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::new();
    let mut inputs = Vec::new();
    whole.inputs(&catalog, |input| inputs.push(input)).unwrap();
    let run = dir.path().join("run");
    let mut recording =
        Recording::begin(&run, catalog.clone(), source(&whole.config), ONE, Metrics::default()).unwrap();
    for input in &inputs {
        recording.input(input);
    }
    for record in &whole.log().unwrap() {
        recording.decision(record);
    }
    // Its thread goes on as a process does until it is killed; nothing ends what it writes.
    let part = dir.path().join("run.part");
    let read = || -> Option<(usize, usize)> {
        let capsule = Capsule::open(&part).ok()?;
        let mut heard = 0;
        capsule.inputs(&Catalog::new(), |_| heard += 1).ok()?;
        Some((heard, capsule.log().ok()?.len()))
    };
    let all = (inputs.len(), whole.log().unwrap().len());
    wait("what waited in memory is on the disk", || {
        // At any moment what is there can be read.
        read().expect("it can be read") == all
    });
    // Killed in the middle of a line.
    let killed = dir.path().join("killed");
    copy(&part, &killed);
    for (name, parts) in [("inputs.jsonl.gz", 2), ("decisions.jsonl", 40)] {
        let path = killed.join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - bytes.len() / parts]).unwrap();
    }
    let cut = Capsule::open(&killed).unwrap();
    let mut heard = Vec::new();
    cut.inputs(&catalog, |input| heard.push(input)).unwrap();
    assert!(heard.len() < inputs.len(), "{} of {}", heard.len(), inputs.len());
    assert_eq!(heard, inputs[..heard.len()]);
    let log = cut.log().unwrap();
    assert!(log.len() < all.1 && log == whole.log().unwrap()[..log.len()]);
    let manifest = std::fs::read_to_string(killed.join("manifest.yml")).unwrap();
    assert!(manifest.contains("# This capsule was never ended"), "{manifest}");
    drop(recording);
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_told_with_their_numbers() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    copy(&dataset("service-crash"), dir.path());
    let path = dir.path().join("inputs.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines[4] = "{\"n\":[\"a\"]}".into();
    lines[9] = "{\"t\":1,\"why\":2}".into();
    let mut file = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
    file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    file.finish().unwrap();
    for command in [vec!["check", "dataset"], vec!["replay"]] {
        let place = dir.path().display().to_string();
        let output = jurymast(&[command.clone(), vec![&place]].concat());
        let told = said(&output);
        assert!(!output.status.success(), "{command:?}");
        for word in [
            "lines cannot be read",
            "line 5:",
            "line 10: nothing is called 'why' here",
        ] {
            assert!(told.contains(word), "{command:?} should say '{word}': {told}");
        }
    }
}

#[test]
fn other_rules_are_said_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (run, place) = (dir.path().join("run"), dir.path().join("run").display().to_string());
    record(&run, ONE, None);
    let same = jurymast(&["replay", &place]);
    assert!(!said(&same).contains("other rules"), "{}", said(&same));
    // As if the binary's rules had changed since.
    let manifest = run.join("manifest.yml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let digest = RulesDigest::of(&Library::builtin(), &Playbooks::builtin(), []).patterns;
    std::fs::write(&manifest, text.replace(&digest, "0000000000000000")).unwrap();
    let told = said(&jurymast(&["replay", &place]));
    assert!(told.contains("recorded with other rules (patterns;"), "{told}");
    assert!(told.contains("decisions may differ"), "{told}");
    // A library that knows nothing but sensors finds another cause.
    let rules = dir.path().join("rules.yml");
    std::fs::write(
        &rules,
        "- {name: odd, summary: s, at: [device], prior: 0.1, remedy: notify, must: [{kinds: [stuck], likelihood: 0.9}], source: s}\n",
    )
    .unwrap();
    let told = said(&jurymast(&["replay", &place, "--rules", &rules.display().to_string()]));
    assert!(
        told.contains("decided otherwise") && told.contains("+ ") && told.contains("something-else"),
        "{told}"
    );
    assert!(
        told.lines()
            .any(|line| line.contains("- ") && line.contains("plan: ingest")),
        "{told}"
    );
    // Another config: everything waits for a person.
    let config = dir.path().join("other.yml");
    let text = std::fs::read_to_string(run.join("jurymast.yml")).unwrap();
    std::fs::write(&config, asking(&text)).unwrap();
    let told = said(&jurymast(&[
        "replay",
        &place,
        "--config",
        &config.display().to_string(),
    ]));
    assert!(told.contains("ask (approval)"), "{told}");
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("out.html");
    let (crash, stuck) = (dataset("service-crash"), dataset("sensor-stuck"));
    let output = jurymast(&[
        "replay",
        &crash.display().to_string(),
        &stuck.display().to_string(),
        "--report",
        &page.display().to_string(),
    ]);
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(&page).unwrap();
    for word in [
        "<h3>Timeline</h3>",
        "<h3>Evidence</h3>",
        "<h3>Verdicts</h3>",
        "<h3>Plans</h3>",
        "<polyline",
        "</html>",
    ] {
        assert!(text.contains(word), "no {word}");
    }
    for word in ["<script", "http://", "https://", "src=", "<link", "NaN"] {
        assert!(!text.contains(word), "{word} is there");
    }
}

#[test]
fn no_secret_of_the_config_is_anywhere_in_a_capsule() {
    let dir = tempfile::tempdir().unwrap();
    let capsule = Capsule::open(&dataset("service-crash")).unwrap();
    let text = capsule
        .config
        .replace("vars: {", "vars: {admin_password: open-sesame-1, ")
        .replace("http://127.0.0.1", "http://root:swordfish@127.0.0.1");
    assert!(text.contains("open-sesame-1"), "the recorded config has vars no more");
    let loaded = Loaded::of(&text, "jurymast.yml", dir.path(), |_| None).unwrap_or_else(|error| panic!("{error}"));
    let catalog = Catalog::new();
    let mut engine = Engine::new(setup(&loaded.config, &catalog)).unwrap();
    let source = Source {
        redactor: Redactor::new(&loaded.secrets),
        ..source(&loaded.text)
    };
    let run = dir.path().join("run");
    let mut recording = Recording::begin(&run, catalog.clone(), source, ONE, Metrics::default()).unwrap();
    let mut effects = Effects::default();
    let mut plans = 0;
    capsule
        .inputs(&catalog, |input| {
            recording.input(&input);
            engine.handle(input, &mut effects);
            plans += effects.start.len();
            effects.log.iter().for_each(|record| recording.decision(record));
            effects.clear();
        })
        .unwrap();
    recording.finish();
    assert_eq!(plans, 1);
    for name in ["jurymast.yml", "decisions.jsonl", "manifest.yml"] {
        let written = std::fs::read_to_string(run.join(name)).unwrap();
        for secret in ["open-sesame-1", "swordfish"] {
            assert!(!written.contains(secret), "{secret} is in {name}");
        }
    }
    // And it replays the same all the same.
    let replayed = jurymast(&["replay", "-o", "json", &run.display().to_string()]);
    let reports: Vec<serde_json::Value> = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(reports[0]["identical"], true, "{:#}", reports[0]);
}
