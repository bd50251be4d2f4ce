//! Metrics and logs that others push, over HTTP and syslog, from a real Prometheus among them.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{Server, free_port, skipped, wait};

struct Agent {
    _server: Server,
    port: u16,
}

impl Agent {
    fn start(dir: &Path, more: &str) -> Self {
        jurymast::net::install_crypto();
        let port = free_port();
        std::fs::write(dir.join("token"), "t0ken").unwrap();
        let config = format!(
            "api: {{listen: '127.0.0.1:{port}', alerts_token_file: token}}\nagent: {{data_dir: data}}\n{more}\n"
        );
        std::fs::write(dir.join("jurymast.yml"), config).unwrap();
        let server = Server::start(
            dir,
            Path::new(env!("CARGO_BIN_EXE_jurymast")),
            &["run", "-c", "jurymast.yml"],
        );
        wait("the agent answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { _server: server, port }
    }

    async fn get(&self, path: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .get(format!("http://127.0.0.1:{}{path}", self.port))
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    /// Waits until a line of `/metrics` that begins so has a value of more than this.
    async fn counts(&self, line: &str, more_than: f64) {
        let begin = Instant::now();
        loop {
            let text = self.get("/metrics").await;
            let value = text
                .lines()
                .find_map(|said| said.strip_prefix(line)?.trim().parse::<f64>().ok());
            if value.is_some_and(|value| value > more_than) {
                return;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(40),
                "{line} is {value:?} in\n{text}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .post(format!("http://127.0.0.1:{}{path}", self.port))
            .bearer_auth("t0ken")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

fn series(labels: &[(&str, &str)]) -> Vec<u8> {
    series_at(5, labels)
}

fn series_at(mut millis: u64, labels: &[(&str, &str)]) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        series.extend(field(
            1,
            &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
        ));
    }
    let mut sample = [&[0x09][..], &1.5_f64.to_le_bytes(), &[0x10]].concat();
    while millis >= 0x80 {
        sample.push((millis & 0x7f) as u8 | 0x80);
        millis >>= 7;
    }
    sample.push(millis as u8);
    series.extend(field(2, &sample));
    field(1, &series)
}

fn packed(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).unwrap()
}

const V1: [(&str, &str); 2] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
];

#[tokio::test(flavor = "multi_thread")]
async fn remote_write_answers_as_its_specification_says() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "");
    let write = "/api/v1/write";
    let good = series(&[("__name__", "t"), ("instance", "i")]);
    let answer = agent.post(write, &V1, packed(&good)).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["x-prometheus-remote-write-samples-written"], "1");
    // A bad series beside a good one: the good one counts, and the sender is told not to repeat it.
    let answer = agent
        .post(
            write,
            &V1,
            packed(&[good.clone(), series(&[("instance", "i")])].concat()),
        )
        .await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-prometheus-remote-write-samples-written"], "1");
    assert!(answer.text().await.unwrap().contains("__name__"));
    agent
        .counts("jurymast_samples_total{source=\"remote_write\"}", 1.5)
        .await;
    // Version 2: symbols, and series that refer to them.
    let symbols: Vec<u8> = ["", "__name__", "t2", "instance", "i"]
        .iter()
        .flat_map(|symbol| field(4, symbol.as_bytes()))
        .collect();
    let sample = [&[0x09][..], &1.5_f64.to_le_bytes(), &[0x10, 5]].concat();
    let v2 = [
        symbols,
        field(5, &[field(1, &[1, 2, 3, 4]), field(2, &sample)].concat()),
    ]
    .concat();
    let headers = [
        (
            "content-type",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        ),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "2.0.0"),
    ];
    let answer = agent.post(write, &headers, packed(&v2)).await;
    assert_eq!(answer.status(), 204);
    for name in ["samples", "histograms", "exemplars"] {
        let count = if name == "samples" { "1" } else { "0" };
        assert_eq!(
            answer.headers()[format!("x-prometheus-remote-write-{name}-written").as_str()],
            count
        );
    }
    for (headers, body, status) in [
        (vec![("content-type", "application/json"), V1[1]], packed(&good), 415),
        (
            vec![("content-type", "application/x-protobuf;proto=some.Other"), V1[1]],
            packed(&good),
            415,
        ),
        (vec![V1[0], ("content-encoding", "gzip")], packed(&good), 415),
        (V1.to_vec(), b"no snappy".to_vec(), 400),
        (V1.to_vec(), packed(b"\x0a\xff"), 400),
        // Nine bytes that say that they are two gigabytes.
        (V1.to_vec(), b"\xff\xff\xff\xff\x07aaaa".to_vec(), 413),
    ] {
        assert_eq!(agent.post(write, &headers, body).await.status(), status, "{headers:?}");
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://127.0.0.1:{}{write}", agent.port))
        .body(packed(&good))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401, "without the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_loki_and_syslog_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (udp, tcp) = (free_port(), free_port());
    let agent = Agent::start(
        dir.path(),
        &format!(
            "sources: {{syslog: [{{name: u, listen: 'udp://127.0.0.1:{udp}'}}, {{name: t, listen: 'tcp://127.0.0.1:{tcp}'}}]}}"
        ),
    );
    let otlp = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"temp","gauge":{"dataPoints":[{"asDouble":21.5}]}},
        {"name":"d","sum":{"aggregationTemporality":1,"dataPoints":[{"asDouble":1}]}}]}]}]}"#;
    let answer = agent
        .post("/v1/metrics", &[("content-type", "application/json")], otlp.into())
        .await;
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["content-type"].to_str().unwrap()
        ),
        (200, "application/json")
    );
    let said: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(said["partialSuccess"]["rejectedDataPoints"], "1");
    agent.counts("jurymast_samples_total{source=\"otlp\"}", 0.5).await;
    let answer = agent
        .post(
            "/v1/metrics",
            &[("content-type", "application/x-protobuf")],
            b"\xff".to_vec(),
        )
        .await;
    assert_eq!(answer.status(), 400);
    let loki = r#"{"streams":[{"stream":{"host":"h"},"values":[["1767225600000000000","disk is full"]]}]}"#;
    for (body, status) in [(loki, 204), ("{}", 400)] {
        assert_eq!(
            agent
                .post(
                    "/loki/api/v1/push",
                    &[("content-type", "application/json")],
                    body.into()
                )
                .await
                .status(),
            status
        );
    }
    let message = "<34>1 2026-01-01T00:00:00Z box su - - - 'su root' failed";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    wait("syslog listens", || TcpStream::connect(("127.0.0.1", tcp)).is_ok());
    socket.send_to(message.as_bytes(), ("127.0.0.1", udp)).unwrap();
    socket.send_to(b"no syslog", ("127.0.0.1", udp)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", tcp)).unwrap();
    writeln!(stream, "{} {message}{message}", message.len()).unwrap();
    for (source, messages) in [("u", 1.5), ("t", 1.5)] {
        agent
            .counts(&format!("jurymast_messages_total{{source=\"{source}\"}}"), messages)
            .await;
    }
    agent
        .counts("jurymast_bad_input_total{source=\"u\",reason=\"syslog\"}", 0.5)
        .await;
    for source in ["loki", "u", "t"] {
        agent
            .counts(&format!("jurymast_samples_total{{source=\"{source}\"}}"), 2.5)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_writes_to_us_and_none_of_it_fails() {
    if skipped("remote write of a real Prometheus", &["prometheus"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "");
    let (prometheus, own) = (tempfile::tempdir().unwrap(), free_port());
    let config = format!(
        "scrape_configs: [{{job_name: own, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:{own}']}}]}}]\n\
         remote_write: [{{url: 'http://127.0.0.1:{}/api/v1/write', authorization: {{credentials: t0ken}}, queue_config: {{batch_send_deadline: 1s}}}}]\n",
        agent.port
    );
    let _server = Server::prometheus(prometheus.path(), own, &config);
    agent
        .counts("jurymast_samples_total{source=\"remote_write\"}", 1000.0)
        .await;
    let metrics = agent.get("/metrics").await;
    assert!(
        !metrics.contains("jurymast_bad_input_total{source=\"remote_write\""),
        "{metrics}"
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let theirs = client
        .get(format!("http://127.0.0.1:{own}/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let failed = theirs
        .lines()
        .find(|line| line.starts_with("prometheus_remote_storage_samples_failed_total{"));
    assert!(failed.is_some_and(|line| line.ends_with(" 0")), "{failed:?}");
}

/// Whatever names the entity: queries see the labels that were sent, and of `instance` and `entity` only what belongs there.
#[tokio::test(flavor = "multi_thread")]
async fn pushed_series_keep_their_labels_in_queries() {
    for (push, expected) in [
        (
            "",
            [
                r#"{"__name__":"a","entity":"h:1","instance":"h:1","job":"j"}"#,
                r#"{"__name__":"job:a:sum","job":"j"}"#,
                r#"{"__name__":"lone","site":"s"}"#,
            ],
        ),
        (
            ", push: {entity: '{site}'}",
            [
                r#"{"__name__":"a","entity":"h:1","instance":"h:1","job":"j"}"#,
                r#"{"__name__":"job:a:sum","job":"j"}"#,
                r#"{"__name__":"lone","entity":"s","site":"s"}"#,
            ],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let more = format!("rules: {{history: 1h}}\nsources: {{syslog: []{push}}}");
        let agent = Agent::start(dir.path(), &more);
        let now = u64::try_from(jurymast::clock::wall_clock().millis()).unwrap();
        let body = [
            series_at(now, &[("__name__", "a"), ("instance", "h:1"), ("job", "j")]),
            series_at(now, &[("__name__", "job:a:sum"), ("job", "j")]),
            series_at(now, &[("__name__", "lone"), ("site", "s")]),
        ];
        let answer = agent.post("/api/v1/write", &V1, packed(&body.concat())).await;
        assert_eq!(answer.status(), 204);
        for expected in expected {
            let name = expected.split('"').nth(3).unwrap();
            let begin = Instant::now();
            loop {
                let said = agent.get(&format!("/api/v1/series?match[]={name}")).await;
                if said.contains(&format!("\"data\":[{expected}]")) {
                    break;
                }
                assert!(begin.elapsed() < Duration::from_secs(20), "{expected} is due: {said}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
