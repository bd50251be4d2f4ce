//! What Alertmanagers and others tell a running agent.

use std::time::Duration;

use jurymast::model::Timestamp;
use serde_json::json;

use super::world::{ALERTMANAGER, Agent, Alertmanager, client, get, send, sink, until};
use crate::harness::{free_port, skipped};

const PUMP: &str = "topology: {entities: [{name: pump-1, kind: device}]}\n";

#[tokio::test]
async fn what_two_alertmanagers_tell_again_and_again_is_one_symptom_until_it_is_resolved() {
    if skipped("webhooks of two Alertmanagers", &[ALERTMANAGER]) {
        return;
    }
    let agent = Agent::start(PUMP).await;
    let hook = format!("{}/webhook/alertmanager", agent.base);
    let both = [
        Alertmanager::start(free_port(), &hook).ready().await,
        Alertmanager::start(free_port(), &hook).ready().await,
    ];
    let now = jurymast::clock::wall_clock();
    let alert = |ends: Timestamp| {
        json!([{"labels": {"alertname": "Down", "entity": "pump-1"}, "startsAt": now.to_string(), "endsAt": ends.to_string()}]).to_string()
    };
    for alertmanager in &both {
        let url = format!("{}/api/v2/alerts", alertmanager.base);
        assert_eq!(send(&url, &alert(now + Duration::from_secs(600))).await.0, 200);
    }
    let messages = "jurymast_messages_total{source=\"alerts\"}";
    until("it was told of it again and again", || async {
        agent.metric(messages).await >= 6.0
    })
    .await;
    let symptoms = agent.symptoms("pump-1").await;
    assert_eq!(symptoms.len(), 1, "{symptoms:?}");
    assert_eq!(agent.metric("jurymast_incidents_open").await as u64, 1);
    let incidents = get(&format!("{}/api/incidents", agent.base)).await;
    assert_eq!(incidents.as_array().unwrap().len(), 1, "{incidents}");
    let over = jurymast::clock::wall_clock();
    for alertmanager in &both {
        let url = format!("{}/api/v2/alerts", alertmanager.base);
        assert_eq!(send(&url, &alert(over)).await.0, 200);
    }
    until("nothing stands against it", || async {
        agent.symptoms("pump-1").await.is_empty() && agent.metric("jurymast_incidents_open").await as u64 == 0
    })
    .await;
    assert!(!agent.log().await.contains("panicked"));
}

/// Of what is silenced, or inhibited, when it ends Alertmanager tells no webhook the end.
#[tokio::test]
async fn an_alert_that_ends_while_it_is_silenced_is_over_though_nobody_tells_of_it() {
    if skipped("an alert that ends silenced", &[ALERTMANAGER]) {
        return;
    }
    let agent = Agent::start(&format!("sources: {{alerts: {{repeated_within: 6s}}}}\n{PUMP}")).await;
    let hook = format!("{}/webhook/alertmanager", agent.base);
    let alertmanager = Alertmanager::start(free_port(), &hook).ready().await;
    let url = format!("{}/api/v2/alerts", alertmanager.base);
    let labels = json!({"alertname": "Down", "entity": "pump-1"});
    assert_eq!(send(&url, &json!([{"labels": labels}]).to_string()).await.0, 200);
    until("it is evidence", || async { agent.symptoms("pump-1").await.len() == 1 }).await;
    let own = json!([{"name": "entity", "value": "pump-1", "isRegex": false, "isEqual": true}]);
    alertmanager.silence(own).await;
    let over = jurymast::clock::wall_clock().to_string();
    let body = json!([{"labels": labels, "endsAt": over}]).to_string();
    assert_eq!(send(&url, &body).await.0, 200);
    until("it is over", || async { agent.symptoms("pump-1").await.is_empty() }).await;
}

#[tokio::test]
async fn an_alert_that_is_posted_no_more_ends_by_itself() {
    let agent = Agent::start(PUMP).await;
    let ends = jurymast::clock::wall_clock() + Duration::from_secs(3);
    let body = json!([{"labels": {"alertname": "Down", "entity": "pump-1"}, "endsAt": ends.to_string()}]);
    let url = format!("{}/api/v2/alerts", agent.base);
    assert_eq!(send(&url, &body.to_string()).await, (200, String::new()));
    until("it is evidence", || async { agent.symptoms("pump-1").await.len() == 1 }).await;
    until("it is over", || async { agent.symptoms("pump-1").await.is_empty() }).await;
}

#[tokio::test]
async fn bad_bodies_are_refused_with_their_place_and_the_good_alerts_of_them_are_kept() {
    let agent = Agent::start(PUMP).await;
    let posted = format!("{}/api/v2/alerts", agent.base);
    let hook = format!("{}/webhook/alertmanager", agent.base);
    let (status, text) = send(
        &posted,
        r#"[{"labels":{"alertname":"Down","entity":"pump-1"}},{"labels":{}},{"labels":3}]"#,
    )
    .await;
    assert_eq!(status, 400);
    assert!(
        text.contains("2 of 3 alerts refused") && text.contains("alert 1:"),
        "{text}"
    );
    until("the good one is evidence", || async {
        agent.symptoms("pump-1").await.len() == 1
    })
    .await;
    for (url, body) in [
        (&posted, "nonsense"),
        (&hook, "[]"),
        (&hook, r#"{"version":"3","alerts":[]}"#),
    ] {
        assert_eq!(send(url, body).await.0, 400, "{body}");
    }
    let long = format!("[{}]", " ".repeat(9 << 20));
    for url in [&posted, &hook] {
        assert_eq!(send(url, &long).await.0, 413);
    }
    let bad = |reason: &str| format!("jurymast_bad_input_total{{source=\"alerts\",reason=\"{reason}\"}}");
    assert_eq!(agent.metric(&bad("no_labels")).await as u64, 1);
    assert_eq!(agent.metric(&bad("version")).await as u64, 1);
    assert_eq!(agent.metric(&bad("json")).await as u64, 3);
    // What a Jurymast says is no evidence for one.
    let own = r#"[{"labels":{"alertname":"JurymastIncident","jurymast":"true","entity":"pump-2"}}]"#;
    assert_eq!(send(&posted, own).await.0, 200);
    assert_eq!(agent.metric(&bad("own_alert")).await as u64, 1);
}

#[tokio::test]
async fn alerts_need_a_token_where_the_config_asks_for_one() {
    let agent = Agent::with_files(
        &format!("api-extra: , alerts_token_file: alerts-token\n{PUMP}"),
        &[("alerts-token", "t0ken\n")],
    )
    .await;
    let url = format!("{}/api/v2/alerts", agent.base);
    let body = r#"[{"labels":{"alertname":"Down","entity":"pump-1"}}]"#;
    let (status, text) = send(&url, body).await;
    assert_eq!(status, 401);
    assert!(text.contains("api.alerts_token_file"), "{text}");
    let with = client()
        .post(&url)
        .bearer_auth("t0ken")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(with.status().as_u16(), 200);
    let hook = client()
        .post(format!("{}/webhook/alertmanager", agent.base))
        .bearer_auth("wrong")
        .body("{}");
    assert_eq!(hook.send().await.unwrap().status().as_u16(), 401);
}

/// The service is down and would be moved, but somebody has silenced it; once the silence ends it is moved.
#[tokio::test]
async fn a_silenced_service_is_not_moved_until_the_silence_ends() {
    if skipped("a silence holds a move", &[ALERTMANAGER]) {
        return;
    }
    let (hook, _heard) = sink().await;
    let alertmanager = Alertmanager::start(free_port(), &hook).ready().await;
    let own = json!([{"name": "service", "value": "svc", "isRegex": false, "isEqual": true}]);
    let silence = alertmanager.silence(own).await;
    let (good, _) = sink().await;
    let dead = free_port();
    let standby = good.trim_start_matches("http://").trim_end_matches('/');
    let agent = Agent::start(&format!(
        "\
notify: {{alertmanager: [{{url: '{}'}}]}}
topology:
  entities:
    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:{dead}'}}}}
    - {{name: b, kind: service, attributes: {{address: '{standby}'}}}}
services:
  - {{name: svc, active: a, standbys: [{{entity: b}}], hold_off: 200ms, playbook: haproxy-switch, vars: {{socket: '/nonexistent/haproxy.sock', backend: be}}, probe: {{uses: tcp, with: {{address: '{{address}}'}}, interval: 300ms}}}}
",
        alertmanager.base
    ))
    .await;
    let verdict = || async { agent.status().await["verdicts"][0].clone() };
    until("the silence refuses it", || async {
        verdict().await["refusal"]["gate"] == "silenced"
    })
    .await;
    assert_eq!(agent.status().await["plans"], json!([]));
    alertmanager.expire(&silence).await;
    // The load balancer is not there, so the plan is taken back; that it was made is what counts here.
    until("a plan is made", || async {
        let recent = agent.status().await["recent"].clone();
        recent
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["record"] == "plan")
    })
    .await;
}
