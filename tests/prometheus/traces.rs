//! Spans that others push: what is answered, what becomes of them, and that a call seen in traces decides a diagnosis.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{self, Server, free_port, wait, wait_up_to};

const JURYMAST: &str = env!("CARGO_BIN_EXE_jurymast");

/// Spans are told every ten seconds.
const TOLD: Duration = Duration::from_secs(45);

struct Agent {
    server: Server,
    port: u16,
}

impl Agent {
    /// Started by these arguments, with these further lines in its config.
    fn start(dir: &Path, arguments: &[&str], more: &str) -> Self {
        jurymast::net::install_crypto();
        let port = free_port();
        let config = format!("api: {{listen: '127.0.0.1:{port}'}}\nagent: {{data_dir: data}}\n{more}\n");
        std::fs::write(dir.join("jurymast.yml"), config).unwrap();
        let server = Server::start(dir, Path::new(JURYMAST), arguments);
        wait("the agent answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { server, port }
    }

    async fn post(&self, path: &str, kind: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .post(format!("http://127.0.0.1:{}{path}", self.port))
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    async fn json(&self, path: &str, body: &Value) -> (u16, Vec<u8>) {
        self.post(path, "application/json", body.to_string().into_bytes()).await
    }

    fn get(&self, path: &str) -> String {
        harness::get(self.port, path).unwrap_or_default()
    }

    fn count(&self, line: &str) -> f64 {
        let text = self.get("/metrics");
        let mut lines = text.lines();
        lines
            .find_map(|said| said.strip_prefix(line)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    fn incidents(&self) -> Vec<Value> {
        let told: Value = serde_json::from_str(&self.get("/api/incidents")).unwrap_or_default();
        told.as_array().cloned().unwrap_or_default()
    }
}

/// Requests to the shop, each of which asks the store; the store itself sends no spans.
fn otlp(requests: std::ops::Range<u64>, millis: u64) -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let spans: Vec<Value> = requests
        .flat_map(|number| {
            let (trace, begin) = (format!("{:032x}", number + 1), 1_767_225_600_000_000_000_u64);
            let end = (begin + millis * 1_000_000).to_string();
            [
                json!({"traceId": trace, "spanId": "00000000000000a1", "name": "GET /cart", "kind": 2, "startTimeUnixNano": begin.to_string(), "endTimeUnixNano": end}),
                json!({"traceId": trace, "spanId": "00000000000000a2", "parentSpanId": "00000000000000a1", "name": "SELECT", "kind": 3, "startTimeUnixNano": begin.to_string(), "endTimeUnixNano": end,
                       "attributes": [attribute("db.system.name", "postgresql"), attribute("server.address", "store")]}),
            ]
        })
        .collect();
    json!({"resourceSpans": [{"resource": {"attributes": [attribute("service.name", "shop")]}, "scopeSpans": [{"spans": spans}]}]})
}

/// A measurement of the store.
fn measured(seconds: f64) -> Value {
    let instance = json!({"key": "service.instance.id", "value": {"stringValue": "store"}});
    let point = json!({"name": "query_duration", "unit": "s", "gauge": {"dataPoints": [{"asDouble": seconds}]}});
    let resource = json!({"resource": {"attributes": [instance]}, "scopeMetrics": [{"metrics": [point]}]});
    json!({"resourceMetrics": [resource]})
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_taken_in_every_form_and_answered_as_each_protocol_says() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), &["run", "-c", "jurymast.yml"], "");
    let (status, body) = agent.json("/v1/traces", &otlp(0..2, 5)).await;
    assert_eq!((status, body.as_slice()), (200, b"{}".as_slice()));
    let mut bad = otlp(2..3, 5);
    bad["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["spanId"] = json!("");
    let (status, body) = agent.json("/v1/traces", &bad).await;
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["partialSuccess"]["rejectedSpans"]), (200, &json!("1")));
    assert!(
        told["partialSuccess"]["errorMessage"]
            .as_str()
            .unwrap()
            .contains("spanId")
    );
    // An empty request in protobuf, and one that is none.
    assert_eq!(
        agent.post("/v1/traces", "application/x-protobuf", Vec::new()).await,
        (200, Vec::new())
    );
    assert_eq!(
        agent.post("/v1/traces", "application/x-protobuf", vec![0xff]).await.0,
        400
    );
    let zipkin = json!([
        {"traceId": "ab", "id": "1", "kind": "CLIENT", "name": "get", "duration": 9000, "localEndpoint": {"serviceName": "front"}},
        {"traceId": "ab", "id": "1", "shared": true, "kind": "SERVER", "name": "get", "duration": 5000, "localEndpoint": {"serviceName": "back"}},
    ]);
    assert_eq!(agent.json("/api/v2/spans", &zipkin).await.0, 202);
    assert_eq!(agent.json("/api/v2/spans", &json!([{"traceId": "x"}])).await.0, 400);
    let jaeger = json!({"data": [{"spans": [{"traceID": "c", "spanID": "1", "operationName": "o", "startTime": 5, "duration": 7, "processID": "p"}],
                                  "processes": {"p": {"serviceName": "front"}}}]});
    assert_eq!(agent.json("/api/traces", &jaeger).await.0, 202);
    assert_eq!(
        agent.post("/api/traces", "application/x-thrift", Vec::new()).await.0,
        415
    );
    assert_eq!(agent.post("/api/v2/spans", "text/plain", Vec::new()).await.0, 415);
    for (source, reason) in [
        ("otlp_traces", "span"),
        ("otlp_traces", "body"),
        ("zipkin", "span"),
        ("zipkin", "content_type"),
        ("jaeger", "content_type"),
    ] {
        let line = format!("jurymast_bad_input_total{{source=\"{source}\",reason=\"{reason}\"}}");
        assert!(agent.count(&line) > 0.5, "{line}");
    }
    wait_up_to(TOLD, "spans are told as signals", || {
        agent.count("jurymast_samples_total{source=\"spans\"}") > 5.5
    });
    drop(agent.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_seen_in_traces_decides_what_is_named() {
    // What the store is stands in the config; who needs it does not.
    let rules = "topology: {entities: [{name: store, kind: database}]}\ndetect: {threshold: [{name: slow-shop, signal: span_latency_seconds, above: 1}, {name: slow-store, signal: query_duration_seconds, above: 1}]}";
    let (taught, untaught) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let arguments = ["record", "-c", "jurymast.yml", "--out", "capsule", "--for", "50s"];
    let learns = Agent::start(taught.path(), &arguments, rules);
    // The same spans, and nobody counts as needing anybody.
    let blind = format!("{rules}\nsources: {{push: {{spans: {{edge_calls: 1000000}}}}}}");
    let does_not = Agent::start(untaught.path(), &["run", "-c", "jurymast.yml"], &blind);
    let both = [&learns, &does_not];
    for agent in both {
        assert_eq!(agent.json("/v1/traces", &otlp(0..20, 50)).await.0, 200);
        assert_eq!(agent.json("/v1/metrics", &measured(0.05)).await.0, 200);
    }
    for agent in both {
        wait_up_to(TOLD, "spans are told as signals", || {
            agent.count("jurymast_samples_total{source=\"spans\"}") > 0.5
        });
    }
    for agent in both {
        assert_eq!(agent.json("/v1/metrics", &measured(9.0)).await.0, 200);
        assert_eq!(agent.json("/v1/traces", &otlp(100..120, 9000)).await.0, 200);
    }
    let of_shop = |agent: &Agent| {
        let mut incidents = agent.incidents().into_iter();
        incidents.find(|incident| {
            incident["symptoms"]
                .as_array()
                .is_some_and(|symptoms| symptoms.iter().any(|symptom| symptom["entity"] == "shop"))
        })
    };
    for agent in both {
        wait_up_to(TOLD, "the shop is found to be slow", || of_shop(agent).is_some());
    }
    let top = |incident: &Value| {
        let top = &incident["hypotheses"][0];
        format!(
            "{}@{}",
            top["fault"].as_str().unwrap_or("?"),
            top["entity"].as_str().unwrap_or("?")
        )
    };
    let begin = Instant::now();
    let named = loop {
        let named = of_shop(&learns).map(|incident| top(&incident)).unwrap_or_default();
        if named == "database-slow@store" || begin.elapsed() > TOLD {
            break named;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(named, "database-slow@store", "{:#?}", learns.incidents());
    let alone = of_shop(&does_not).map(|incident| top(&incident)).unwrap_or_default();
    assert!(
        alone.ends_with("@shop"),
        "without the edge the shop is blamed itself: {alone}"
    );
    // What was learned from spans is among the recorded inputs: the same is decided again, byte for byte.
    let capsule = taught.path().join("capsule");
    wait_up_to(Duration::from_secs(90), "the recording is over", || {
        TcpStream::connect(("127.0.0.1", learns.port)).is_err() && capsule.join("manifest.yml").exists()
    });
    let replayed = Command::new(JURYMAST)
        .args(["replay", "-o", "json"])
        .arg(&capsule)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    let text = told.to_string();
    assert!(text.contains("\"identical\":true"), "{told:#}");
    assert!(!text.contains("\"identical\":false"), "{told:#}");
}
