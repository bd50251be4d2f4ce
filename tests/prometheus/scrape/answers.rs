//! What a target answers, and what it does instead.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jurymast::model::Reach;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::world::{World, raw, saying, serve, show, target};
use crate::harness::{PATIENCE, free_port};

#[tokio::test]
async fn a_series_that_is_gone_has_ended_and_so_has_all_of_a_target_that_is_gone() {
    let (address, shown) = target("a 1\nb{x=\"1\"} 2\n").await;
    let mut world = World::target(&address);
    let first = world.until("brings both", |scrape| scrape.values.len() == 2).await;
    assert_eq!(
        (first.up, first.values["a"], first.values["b{x=\"1\"}"]),
        (1.0, 1.0, 2.0)
    );
    assert!(matches!(first.reach, Some(Reach::Good { .. })));
    show(&shown, StatusCode::OK, "a 3\n");
    let second = world.until("ends one", |scrape| !scrape.ended.is_empty()).await;
    assert_eq!(second.ended, ["b{x=\"1\"}".to_owned()].into());
    assert_eq!((second.up, second.values["a"]), (1.0, 3.0));
    show(&shown, StatusCode::SERVICE_UNAVAILABLE, "a 3\n");
    let third = world.until("fails", |scrape| scrape.up == 0.0).await;
    assert_eq!(third.ended, ["a".to_owned()].into());
    assert!(third.values.is_empty());
    assert!(matches!(&third.reach, Some(Reach::Failing { detail }) if detail.contains("503")));
    // An end is told once.
    assert!(world.next().await.ended.is_empty());
    show(&shown, StatusCode::OK, "a 4\n");
    let last = world.until("is good again", |scrape| scrape.up == 1.0).await;
    assert_eq!(last.values["a"], 4.0);
}

#[tokio::test]
async fn one_bad_line_refuses_the_whole_scrape_and_a_series_said_twice_counts_once() {
    let (address, shown) = target("a 1\na 2\nb{x=\"1\",y=\"2\"} 1\nb{y=\"2\",x=\"1\"} 5\n").await;
    let mut world = World::target(&address);
    let first = world.until("is good", |scrape| scrape.up == 1.0).await;
    assert_eq!(
        (
            first.values.len(),
            first.values["a"],
            first.values["b{x=\"1\",y=\"2\"}"]
        ),
        (2, 1.0, 1.0)
    );
    assert!(world.bad("duplicate_series") >= 2);
    for text in ["a 1\nnonsense here\n", "<html>ok</html>\n", "a{l=\"1\",l=\"2\"} 1\n"] {
        show(&shown, StatusCode::OK, "a 1\n");
        world.until("is good", |scrape| scrape.up == 1.0).await;
        show(&shown, StatusCode::OK, text);
        let scrape = world.until("is refused", |scrape| scrape.up == 0.0).await;
        assert!(scrape.is_odd("line "), "{text}: {scrape:?}");
        assert!(
            scrape.values.is_empty() && scrape.ended.contains("a"),
            "{text}: {scrape:?}"
        );
    }
    assert!(world.bad("exposition") >= 3);
}

#[tokio::test]
async fn the_time_of_a_sample_is_its_own_if_it_says_one() {
    let (address, _) = target("a 1 1700000000123\nb 2\n").await;
    let mut world = World::target(&address);
    let scrape = world.until("is good", |scrape| scrape.up == 1.0).await;
    assert_eq!(scrape.at["a"].millis(), 1_700_000_000_123);
    assert!(scrape.at["b"].millis() > 1_700_000_000_123);
}

/// Each way of not answering is told apart: they mean different faults.
#[tokio::test]
async fn what_a_target_does_instead_of_answering_is_told_as_what_it_is() {
    // A queue that is full: nothing is refused, and no connection is made.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let deaf = full.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(deaf)).await {
        held.push(stream);
        assert!(held.len() < 100, "the queue is never full");
    }
    let mute = raw(|stream| async move {
        tokio::spawn(async move {
            let _stream = stream;
            tokio::time::sleep(PATIENCE).await;
        });
    })
    .await;
    let stalls = raw(|mut stream| async move {
        tokio::spawn(async move {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n")
                .await;
            tokio::time::sleep(PATIENCE).await;
        });
    })
    .await;
    let odd = |word: &str| Reach::Odd { detail: word.into() };
    let failing = Reach::Failing { detail: "503".into() };
    let cases: Vec<(&str, String, Reach)> = vec![
        ("refused", format!("127.0.0.1:{}", free_port()), Reach::Refused),
        ("no connection", deaf.to_string(), Reach::Unreachable),
        ("no answer", mute.to_string(), Reach::NoAnswer),
        ("https without an answer", format!("https://{mute}"), Reach::NoAnswer),
        ("no end", stalls.to_string(), Reach::NoAnswer),
        (
            "no metrics",
            saying("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await
                .to_string(),
            odd("404"),
        ),
        (
            "ill",
            saying("HTTP/1.1 503 Ill\r\nContent-Length: 9\r\n\r\n")
                .await
                .to_string(),
            failing,
        ),
        (
            "cut off",
            saying("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\na 1\n")
                .await
                .to_string(),
            odd("cut off"),
        ),
        ("not HTTP", saying("SSH-2.0-OpenSSH_9\r\n").await.to_string(), odd("")),
        (
            "not TLS",
            format!("https://{}", saying("HTTP/1.1 400 Bad Request\r\n\r\n").await),
            odd(""),
        ),
        (
            "bad gzip",
            saying("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\na 1\n")
                .await
                .to_string(),
            odd(""),
        ),
        ("hung up", saying("").await.to_string(), odd("")),
    ];
    for (name, address, expected) in cases {
        let mut world = World::target(&address);
        let scrape = world.next().await;
        assert_eq!(scrape.up, 0.0, "{name}");
        let right = match (&scrape.reach, &expected) {
            (Some(Reach::Odd { detail }), Reach::Odd { detail: word })
            | (Some(Reach::Failing { detail }), Reach::Failing { detail: word }) => detail.contains(word.as_str()),
            (reach, expected) => reach.as_ref() == Some(expected),
        };
        assert!(right, "{name}: {:?}", scrape.reach);
    }
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn bodies_come_packed_and_the_limits_count_what_they_hold() {
    let small = "a 1\n".to_owned();
    let large = format!("{}a 1\n", "# x\n".repeat(100_000));
    assert!(packed(&large).len() < 2000, "small on the wire");
    let of = |text: String| {
        get(move || {
            let packed = packed(&text);
            async move { ([(header::CONTENT_ENCODING, "gzip")], packed) }
        })
    };
    let address = serve(Router::new().route("/small", of(small)).route("/large", of(large))).await;
    let mut world = World::target(&format!("http://{address}/small"));
    assert_eq!(world.next().await.values["a"], 1.0);
    let mut world = World::scrape(&json!({
        "targets": [format!("http://{address}/large")], "body_size_limit": 10_000,
    }));
    let scrape = world.next().await;
    assert!(scrape.is_odd("more than 10000 bytes (body_size_limit)"), "{scrape:?}");
    assert_eq!(world.bad("too_long"), 1);
}

#[tokio::test]
async fn a_scrape_with_too_many_samples_is_refused_and_its_names_are_not_kept() {
    let text: String = (0..1000).map(|n| format!("m{{n=\"{n}\"}} 1\n")).collect();
    let (address, shown) = target(&text).await;
    let mut world = World::scrape(&json!({"targets": [address.to_string()], "sample_limit": 10}));
    let scrape = world.next().await;
    assert!(scrape.is_odd("1000 samples, more than 10 (sample_limit)"), "{scrape:?}");
    assert!(world.catalog.series_count() < 20, "{}", world.catalog.series_count());
    let just: String = text.lines().take(10).map(|line| format!("{line}\n")).collect();
    show(&shown, StatusCode::OK, &just);
    let scrape = world.until("is good", |scrape| scrape.up == 1.0).await;
    assert_eq!(scrape.values.len(), 10);
}

#[tokio::test]
async fn open_metrics_is_known_by_its_content_type_and_must_end() {
    let answer = |text: &'static str| {
        get(move |headers: HeaderMap| async move {
            assert!(
                headers["accept"]
                    .to_str()
                    .unwrap()
                    .contains("application/openmetrics-text")
            );
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response() as Response
        })
    };
    let whole = answer("# TYPE a counter\na_total{x=\"1\"} 5 1700000000.5 # {id=\"a\"} 0.5\n# EOF\n");
    let cut = answer("# TYPE a counter\na_total 1\n");
    let address = serve(Router::new().route("/whole", whole).route("/cut", cut)).await;
    let mut world = World::target(&format!("http://{address}/whole"));
    let scrape = world.next().await;
    assert_eq!(scrape.values["a_total{x=\"1\"}"], 5.0);
    assert_eq!(scrape.at["a_total{x=\"1\"}"].millis(), 1_700_000_000_500);
    let mut world = World::target(&format!("http://{address}/cut"));
    assert!(world.next().await.is_odd("# EOF"));
}

#[tokio::test]
async fn a_series_belongs_to_the_entity_that_its_labels_name() {
    let (address, _) = target("t{device=\"pump-1\",room=\"a\"} 1\nt{device=\"pump-2\",room=\"a\"} 2\nown 3\n").await;
    let mut world = World::scrape(
        &json!({"targets": [{"address": address.to_string(), "entity": "gateway"}], "entity": "{device}"}),
    );
    let (of, scrape) = world.any().await;
    assert_eq!((of.as_str(), scrape.up), ("gateway", 1.0));
    for (entity, signal) in [
        ("pump-1", "t{room=\"a\"}"),
        ("pump-2", "t{room=\"a\"}"),
        ("gateway", "own"),
    ] {
        assert!(world.catalog.find_series(entity, signal).is_some(), "{entity} {signal}");
    }
}

fn write_targets(file: &Path, targets: &[SocketAddr]) {
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    std::fs::write(file, json!([{"targets": targets}]).to_string()).unwrap();
}

#[tokio::test]
async fn a_target_file_is_read_again_and_a_broken_one_keeps_what_it_said() {
    let ((one, _), (two, _)) = (target("a 1\n").await, target("b 1\n").await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.json");
    write_targets(&file, &[one]);
    let mut world = World::scrape(&json!({"file_sd": [dir.path().join("*.json")]}));
    assert_eq!(world.any().await.0, one.to_string());
    write_targets(&file, &[one, two]);
    while world.any().await.0 != two.to_string() {}
    std::fs::write(&file, "[{\"targets\": [").unwrap();
    let begin = std::time::Instant::now();
    while world.bad("target_file") == 0 {
        assert!(begin.elapsed() < PATIENCE, "nobody noticed the broken file");
        world.any().await;
    }
    let mut still = BTreeSet::new();
    for _ in 0..10 {
        still.insert(world.any().await.0);
    }
    assert_eq!(still, [one.to_string(), two.to_string()].into());
    write_targets(&file, &[two]);
    // Whoever is listed no longer has ended, `up` and all.
    let gone = loop {
        let (of, scrape) = world.any().await;
        if of == one.to_string() && !scrape.ended.is_empty() {
            break scrape;
        }
    };
    let expected = [
        "a",
        "scrape_duration_seconds",
        "scrape_samples_post_metric_relabeling",
        "scrape_samples_scraped",
        "scrape_series_added",
        "up",
    ];
    assert_eq!(gone.ended, expected.map(str::to_owned).into());
    assert_eq!(gone.reach, None);
}
