//! A look around on a real broker, and the config that it writes.

use std::process::{Command, Output};

use crate::harness::listening::{Listening, Publisher};
use crate::harness::{Server, free_port, skipped};

fn jurymast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .env("JURYMAST_LOG", "error")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What devices of several sorts say in a while.
async fn speak(port: u16, rounds: usize) {
    let mut publisher = Publisher::new(port);
    let discovery =
        br#"{"stat_t":"boiler/state","val_tpl":"{{ value_json.t }}","exp_aft":120,"dev":{"ids":["boiler"]}}"#;
    publisher
        .publish("homeassistant/sensor/boiler/t/config", discovery.to_vec(), true)
        .await;
    publisher.publish("tele/plug7/LWT", b"Online".to_vec(), true).await;
    for round in 0..rounds {
        for device in ["p1", "p2", "p3"] {
            let payload = format!(r#"{{"temp": {round}.5, "rpm": 3}}"#);
            publisher
                .publish(&format!("plant/{device}/telemetry"), payload.into_bytes(), false)
                .await;
        }
        publisher.publish("boiler/state", br#"{"t":71}"#.to_vec(), false).await;
        publisher.publish("house/attic/temp", b"19,25".to_vec(), false).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// The config with all that stands behind a # and is no sentence.
fn suggested(written: &str) -> String {
    let lines = written.lines().map(|line| {
        let bare = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        let deeper = line.strip_prefix('#').filter(|rest| rest.starts_with("  "));
        match (line.strip_prefix("    #-"), bare.or(deeper)) {
            (Some(entry), _) => format!("    -{entry}\n"),
            (None, Some(rest)) => format!("{rest}\n"),
            (None, None) => format!("{line}\n"),
        }
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_on_a_broker_becomes_a_config_that_reads_it_all() {
    if skipped("a look around on a broker", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    let path = dir.path().join("own.yml");
    let (file, url) = (path.to_str().unwrap().to_owned(), format!("mqtt://127.0.0.1:{port}"));
    let speaking = tokio::spawn(async move { speak(port, 60).await });
    let (at, to) = (url.clone(), file.clone());
    let looked =
        tokio::task::spawn_blocking(move || jurymast(&["discover", &at, "--for", "5s", "--write", &to, "-o", "json"]))
            .await
            .unwrap();
    assert!(looked.status.success(), "{}", text(&looked.stderr));
    let said: serde_json::Value = serde_json::from_slice(&looked.stdout).unwrap();
    let decodes: Vec<String> = said["filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["filter"].as_str().unwrap(),
                one["decode"].as_str().unwrap()
            )
        })
        .collect();
    for wanted in [
        "plant/{device}/telemetry json",
        "homeassistant/# homeassistant",
        "boiler/state homeassistant",
        "tele/# tasmota",
        "$SYS/# sys",
    ] {
        assert!(
            decodes.contains(&wanted.to_owned()),
            "{wanted} is not among {decodes:?}"
        );
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written.contains("house/attic/temp") && written.contains("'19,25' is neither"),
        "{written}"
    );
    assert!(written.contains("period: 2m"), "{written}");
    let checked = jurymast(&["check", "config", &file]);
    assert!(checked.status.success(), "{}\n{written}", text(&checked.stdout));
    // What it suggests is good as well, once the # is taken away.
    let suggested = suggested(&written);
    assert!(suggested.contains("\nservices:\n  # "), "{suggested}");
    let other = dir.path().join("suggested.yml");
    std::fs::write(&other, &suggested).unwrap();
    let checked = jurymast(&["check", "config", other.to_str().unwrap()]);
    assert!(checked.status.success(), "{}\n{suggested}", text(&checked.stdout));
    // Not written over without being asked.
    assert_eq!(
        jurymast(&["discover", &url, "--for", "1s", "--write", &file])
            .status
            .code(),
        Some(2)
    );
    // It has been heard.
    speaking.abort();

    // The source that it states reads what was said there.
    let config: serde_json::Value = serde_saphyr::from_str(&written.replace("$$", "$")).unwrap();
    let mut listening = Listening::start(&serde_json::to_string(&config["sources"]["mqtt"][0]).unwrap());
    listening.until(|said| said == "broker good").await;
    let more = tokio::spawn(async move { speak(port, 10).await });
    let said = listening.all_until(|said| said == "boiler/t=71").await;
    assert!(said.iter().any(|said| said == "p1/temp=0.5"), "{said:#?}");
    more.await.unwrap();
}

#[test]
fn a_broker_that_is_not_there_is_said_and_nothing_is_written() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let path = dir.path().join("own.yml");
    let url = format!("mqtt://127.0.0.1:{port}");
    let looked = jurymast(&["discover", &url, "--for", "5s", "--write", path.to_str().unwrap()]);
    assert_eq!(looked.status.code(), Some(2));
    assert!(
        text(&looked.stderr).contains("is it the right address"),
        "{}",
        text(&looked.stderr)
    );
    assert!(!path.exists());
}
