//! Credentials, redirects and TLS.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use serde_json::{Value, json};

use super::world::{World, serve, target};
use crate::harness::{find, skipped};

/// Answers with a metric to whoever brings that header, with 401 to others.
fn guarded(wanted: &'static str) -> Router {
    let answer = move |headers: HeaderMap| async move {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok());
        if given == Some(wanted) {
            (StatusCode::OK, "a 1\n")
        } else {
            (StatusCode::UNAUTHORIZED, "who are you?")
        }
    };
    Router::new().route("/metrics", get(answer))
}

#[tokio::test]
async fn wrong_credentials_are_told_as_such_and_right_ones_are_read_from_their_file_each_time() {
    let basic = serve(guarded("Basic dXNlcjpzM2NyZXQ=")).await;
    let bearer = serve(guarded("Bearer t0ken")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let with =
        |address: SocketAddr, http: Value| World::scrape(&json!({"targets": [address.to_string()], "http": http}));
    let mut good = with(basic, json!({"basic_auth": {"username": "user", "password": "s3cret"}}));
    assert_eq!(good.next().await.up, 1.0);
    let mut wrong = with(basic, json!({"basic_auth": {"username": "user", "password": "guess"}}));
    assert!(wrong.next().await.is_odd("401 Unauthorized"));
    assert_eq!(wrong.bad("status"), 1);
    let mut later = with(bearer, json!({"bearer_token_file": file}));
    // The file is missing: our own fault, which says nothing of the target.
    let first = later.next().await;
    assert_eq!((first.up, &first.reach), (0.0, &None));
    assert!(later.bad("settings") >= 1);
    std::fs::write(&file, "old\n").unwrap();
    later.until("is refused", |scrape| scrape.is_odd("401")).await;
    std::fs::write(&file, "t0ken\n").unwrap();
    later.until("is good", |scrape| scrape.up == 1.0).await;
}

#[tokio::test]
async fn redirects_are_followed_to_an_end_and_credentials_stay_with_their_host() {
    let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let other = serve(Router::new().route(
        "/metrics",
        get(move |headers: HeaderMap| {
            kept.lock().unwrap().push(headers.contains_key("authorization"));
            async { "elsewhere 1\n" }
        }),
    ))
    .await;
    let away = format!("http://{other}/metrics");
    let address = serve(
        guarded("Bearer t0ken")
            .route("/here", get(|| async { Redirect::temporary("/metrics") }))
            .route("/away", get(move || async move { Redirect::temporary(&away) }))
            .route("/round", get(|| async { Redirect::temporary("/round") })),
    )
    .await;
    let to = |path: &str| {
        let url = format!("http://{address}{path}");
        World::scrape(&json!({"targets": [url], "http": {"bearer_token": "t0ken"}}))
    };
    assert_eq!(to("/here").next().await.values["a"], 1.0);
    assert_eq!(to("/away").next().await.values["elsewhere"], 1.0);
    assert!(
        seen.lock().unwrap().iter().all(|had| !had),
        "the token went to another host"
    );
    let round = to("/round").next().await;
    assert!(round.is_odd("redirect"), "{round:?}");
}

fn openssl(dir: &Path, arguments: &str) {
    let made = std::process::Command::new(find("openssl").unwrap())
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Serves one metric over TLS with the certificate in that folder.
fn serve_tls(dir: &Path) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    jurymast::net::install_crypto();
    let certificate = CertificateDer::from_pem_file(dir.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 4096];
            if std::io::Read::read(&mut stream, &mut request).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n");
            }
        }
    });
    port
}

#[tokio::test]
async fn tls_trusts_the_ca_that_is_named_and_a_certificate_that_is_not_trusted_is_no_outage() {
    if skipped("scrapes over TLS", &["openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for ca in ["ca", "other"] {
        openssl(
            path,
            &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem"),
        );
    }
    openssl(
        path,
        "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr",
    );
    std::fs::write(path.join("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        path,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
    );
    let port = serve_tls(path);
    let with = |host: &str, ca: &str| {
        let url = format!("https://{host}:{port}/metrics");
        World::scrape(&json!({"targets": [url], "http": {"tls": {"ca_file": path.join(ca)}}}))
    };
    assert_eq!(with("127.0.0.1", "ca.pem").next().await.values["a"], 1.0);
    for (host, ca) in [("127.0.0.1", "other.pem"), ("localhost", "ca.pem")] {
        let scrape = with(host, ca).next().await;
        assert!(scrape.is_odd("certificate"), "{host} {ca}: {scrape:?}");
    }
    let missing = with("127.0.0.1", "nowhere.pem").next().await;
    assert_eq!((missing.up, missing.reach), (0.0, None));
}

/// What scrape configs of Prometheus say of the target's certificate beside its CA.
#[tokio::test]
async fn a_native_target_may_be_certified_by_another_name_or_not_at_all() {
    if skipped("scrapes over TLS", &["openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    openssl(
        path,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
    );
    openssl(
        path,
        "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr",
    );
    std::fs::write(path.join("ext"), "subjectAltName=DNS:other.example\n").unwrap();
    openssl(
        path,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
    );
    let port = serve_tls(path);
    let ca = path.join("ca.pem");
    for (tls, good) in [
        (json!({"ca_file": ca}), false),
        (json!({"ca_file": ca, "server_name": "other.example"}), true),
        (json!({"ca_file": ca, "server_name": "third.example"}), false),
        (json!({"insecure_skip_verify": true}), true),
        (json!({"insecure_skip_verify": false}), false),
    ] {
        let mut world = World::native(&json!({
            "job_name": "tls", "scheme": "https", "scrape_interval": "1s", "scrape_timeout": "1s",
            "static_configs": [{"targets": [format!("127.0.0.1:{port}")]}], "tls_config": tls,
        }));
        let scrape = world.next().await;
        assert_eq!(scrape.up, f64::from(u8::from(good)), "{tls}: {scrape:?}");
    }
}

/// Labels that are too many or too long make a scrape a failed one, again and again.
#[tokio::test]
async fn labels_beyond_the_limits_of_a_scrape_config_refuse_the_scrape() {
    let (target, _) = target("a{room=\"kitchen\"} 1\n").await;
    for (limits, good) in [
        (json!({}), true),
        // The name of the metric, job, instance and room.
        (
            json!({"label_limit": 4, "label_name_length_limit": 8, "label_value_length_limit": 21}),
            true,
        ),
        (json!({"label_limit": 3}), false),
        (json!({"label_name_length_limit": 7}), false),
        (json!({"label_value_length_limit": 6}), false),
    ] {
        let mut config = json!({
            "job_name": "limits", "scrape_interval": "100ms", "scrape_timeout": "100ms",
            "static_configs": [{"targets": [target.to_string()]}],
        });
        for (name, limit) in limits.as_object().unwrap() {
            config[name] = limit.clone();
        }
        let mut world = World::native(&config);
        for _ in 0..2 {
            let scrape = world.next().await;
            assert_eq!(scrape.up, f64::from(u8::from(good)), "{limits}: {scrape:?}");
        }
    }
}
