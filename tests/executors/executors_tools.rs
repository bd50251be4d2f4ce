//! Executors that work by other programs: the real ones where Debian has them (BIND), and recorded contracts of those that cannot
//! run here (systemctl, docker, hdfs, mongosh, ssh): a stand-in that answers as the real one does, and writes down how it was called.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jurymast::act::runner::{Applied, Effect};
use serde_json::json;

use crate::harness::deed::Deeds;
use crate::harness::{Server, calls, find, free_port, run, skipped, stand_in, systemctl, wait};

#[tokio::test]
async fn a_record_is_switched_by_an_update_that_the_server_itself_guards() {
    if skipped("DNS update beside BIND", &["named", "nsupdate", "dig", "tsig-keygen"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // named gives up root's rights only if it is told to; the folder is its own.
    let (port, home) = (free_port(), dir.path().display().to_string());
    std::fs::write(
        dir.path().join("key"),
        run("tsig-keygen", &["jurymast"], &[], dir.path()),
    )
    .unwrap();
    let zone = "$TTL 30\n@ IN SOA ns root 1 60 60 60 30\n@ IN NS ns\nns IN A 127.0.0.1\napp IN A 10.0.0.1\n";
    std::fs::write(dir.path().join("zone"), zone).unwrap();
    let config = format!(
        "include \"{home}/key\";\noptions {{ directory \"{home}\"; pid-file none; session-keyfile \"{home}/session\"; listen-on port {port} {{ 127.0.0.1; }};\n\
         listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n\
         zone \"plant.test\" {{ type primary; file \"{home}/zone\"; allow-update {{ key jurymast; }}; }};\n"
    );
    std::fs::write(dir.path().join("named.conf"), config).unwrap();
    let _named = Server::start(
        dir.path(),
        &find("named").unwrap(),
        &["-g", "-c", &format!("{home}/named.conf")],
    );
    let dig = |name: &str, sort: &str| {
        let port = port.to_string();
        let output = Command::new("dig")
            .args(["+short", "+tries=1", "+time=1", "@127.0.0.1", "-p", &port, name, sort])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    wait("BIND answers", || dig("app.plant.test", "A") == "10.0.0.1");
    let deeds = Deeds::new(dir.path());
    let to = |value: &str, key: &str| json!({"server": format!("127.0.0.1:{port}"), "zone": "plant.test", "name": "app.plant.test", "type": "A", "value": value, "key_file": key});
    let key = format!("{home}/key");
    deeds.done("dns", &to("10.0.0.2", &key), (3, 1)).await;
    assert_eq!(dig("app.plant.test", "A"), "10.0.0.2");
    assert_eq!(dig("_jurymast.app.plant.test", "TXT"), "\"3.1\"");
    deeds.refused("dns", &to("10.0.0.1", &key), (2, 9), "3.1").await;
    deeds.refused("dns", &to("10.0.0.1", ""), (4, 1), "REFUSED").await;
    assert_eq!(dig("app.plant.test", "A"), "10.0.0.2");
    deeds.done("dns", &to("10.0.0.1", &key), (4, 1)).await;
    assert_eq!(deeds.stands("dns", &to("10.0.0.1", &key)).await, Effect::There);
    assert_eq!(deeds.stands("dns", &to("10.0.0.2", &key)).await, Effect::NotThere);
    let mut other = to("10.0.0.1", &key);
    other["name"] = json!("nobody.plant.test");
    assert_eq!(deeds.stands("dns", &other).await, Effect::Unknown, "no answer is none");
}

/// Recorded contract: there is no systemd to command in a container.
#[tokio::test]
async fn systemd_is_told_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let program = systemctl(dir.path());
    let deeds = Deeds::new(dir.path());
    let order = |verb: &str| json!({"do": verb, "unit": "app.service", "program": program});
    deeds.done("systemd", &order("stop"), (3, 1)).await;
    assert!(calls(dir.path()).contains(&"stop app.service".to_owned()));
    deeds.done("systemd", &order("start"), (3, 1)).await;
    deeds.done("systemd", &order("fence"), (3, 1)).await;
    assert!(calls(dir.path()).contains(&"mask --runtime --now app.service".to_owned()));
    assert_eq!(deeds.stands("systemd", &order("fence")).await, Effect::There);
    let mut elsewhere = order("fence");
    elsewhere["at"] = json!({"ssh": "nobody@127.0.0.1"});
    assert_eq!(
        deeds.stands("systemd", &elsewhere).await,
        Effect::Unknown,
        "no host is logged in to"
    );
    deeds.done("systemd", &order("release"), (3, 1)).await;
    assert_eq!(deeds.stands("systemd", &order("fence")).await, Effect::NotThere);
    let all = calls(dir.path());
    assert!(
        all.contains(&"unmask --runtime app.service".to_owned()) && all.contains(&"start app.service".to_owned()),
        "{all:?}"
    );
}

/// Recorded contract: no daemon may run here. The answers are those of Docker 20.10.
#[tokio::test]
async fn docker_is_told_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let script = "[ \"$1\" = --host ] && shift 2
case \"$1\" in
start) echo true > $state;; stop) echo false > $state;; update) echo \"${2#--restart=}\" > $state.policy;;
inspect) [ \"$4\" = app ] || { echo 'Error: No such object' >&2; exit 1; }; echo \"$(cat $state) $(cat $state.policy)\";;
esac";
    let program = stand_in(dir.path(), "docker", script);
    std::fs::write(dir.path().join("docker.state"), "true\n").unwrap();
    std::fs::write(dir.path().join("docker.state.policy"), "unless-stopped\n").unwrap();
    let mut deeds = Deeds::new(dir.path());
    let order = |verb: &str| json!({"do": verb, "container": "app", "host": "ssh://db-a", "program": program});
    deeds.done("docker", &order("fence"), (3, 1)).await;
    let all = calls(dir.path());
    assert!(
        all.contains(&"--host ssh://db-a update --restart=no app".to_owned()),
        "{all:?}"
    );
    deeds.done("docker", &order("release"), (3, 1)).await;
    deeds.done("docker", &order("stop"), (3, 1)).await;
    deeds.done("docker", &order("start"), (3, 1)).await;
    deeds.timeout = Duration::from_millis(500);
    let other = json!({"do": "stop", "container": "other", "program": program});
    assert_eq!(deeds.look("docker", &other, (3, 1)).await, Effect::Unknown);
}

/// Recorded contract: Debian has no Hadoop and no `MongoDB`. The answers are those of their documentation.
#[tokio::test]
async fn hdfs_and_mongodb_are_asked_to_switch_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let deeds = Deeds::new(dir.path());
    let script = "case \"$1 $2\" in
'haadmin -failover') echo $4 > $state; echo \"Failover from $3 to $4 successful\";;
'haadmin -getServiceState') [ \"$(cat $state)\" = $3 ] && echo active || echo standby;;
*) exit 255;; esac";
    let hdfs = stand_in(dir.path(), "hdfs", script);
    std::fs::write(dir.path().join("hdfs.state"), "nn1\n").unwrap();
    deeds
        .done("hdfs", &json!({"from": "nn1", "to": "nn2", "program": hdfs}), (3, 1))
        .await;
    assert!(calls(dir.path()).contains(&"haadmin -failover nn1 nn2".to_owned()));
    let script = "case \"$4\" in
rs.stepDown*) echo b:27017 > $state;; print*) cat $state;; *) exit 1;; esac";
    let mongosh = stand_in(dir.path(), "mongosh", script);
    std::fs::write(dir.path().join("mongosh.state"), "a:27017\n").unwrap();
    let order = json!({"uri": "mongodb://a:27017,b:27017/?replicaSet=rs", "to": "b:27017", "program": mongosh});
    deeds.done("mongodb", &order, (3, 1)).await;
    assert!(
        calls(dir.path())
            .iter()
            .any(|call| call.ends_with("--eval rs.stepDown(60)"))
    );
}

#[tokio::test]
async fn data_that_differs_stops_a_plan() {
    let dir = tempfile::tempdir().unwrap();
    let deeds = Deeds::new(dir.path());
    let compare = |left: &str, right: &str, within: Option<f64>| json!({"left": ["echo", left], "right": ["echo", right], "within": within});
    assert_eq!(
        deeds.apply("compare", &compare("7", "7", None), (3, 1)).await,
        Applied::Done
    );
    assert_eq!(
        deeds.apply("compare", &compare("100", "98", Some(2.0)), (3, 1)).await,
        Applied::Done
    );
    deeds
        .refused("compare", &compare("abc", "abd", None), (3, 1), "'abd'")
        .await;
    let broken = json!({"left": ["false"], "right": ["echo"]});
    deeds.refused("compare", &broken, (3, 1), "nothing to compare").await;
    // Numbers that each tells on its page of metrics, such as the last message that it has stored.
    let page = |last: u32| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = format!("# TYPE last_sequence gauge\nlast_sequence {last}\n");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let mut stream = stream;
                let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
                let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            }
        });
        format!("http://{address}/metrics")
    };
    let (active, standby) = (page(120), page(118));
    let told =
        |metric: &str, within: f64| json!({"left": [active], "right": [standby], "metric": metric, "within": within});
    assert_eq!(
        deeds.apply("compare", &told("last_sequence", 2.0), (3, 1)).await,
        Applied::Done
    );
    deeds
        .refused("compare", &told("last_sequence", 1.0), (3, 1), "'118'")
        .await;
    deeds
        .refused("compare", &told("last", 1.0), (3, 1), "tells no last")
        .await;
    // Nothing is left behind: it is always done again.
    assert_eq!(
        deeds.look("compare", &compare("7", "7", None), (3, 1)).await,
        Effect::NotThere
    );
}

/// A real sshd on a port of its own; the program over there is one of the user's own.
#[tokio::test]
async fn a_program_on_another_host_gets_the_token() {
    if skipped("ssh", &["sshd", "ssh", "ssh-keygen"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().display().to_string();
    for key in ["host", "user"] {
        run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", key],
            &[],
            dir.path(),
        );
    }
    std::fs::copy(dir.path().join("user.pub"), dir.path().join("authorized")).unwrap();
    let port = free_port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host\nPidFile none\nAuthorizedKeysFile {home}/authorized\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nPermitRootLogin yes\n"
    );
    std::fs::write(dir.path().join("sshd_config"), config).unwrap();
    // sshd wants a folder that the package makes at boot; where it cannot be made the test cannot run.
    if !Path::new("/run/sshd").exists() && std::fs::create_dir("/run/sshd").is_err() {
        println!("SKIPPED: ssh (/run/sshd is not there)");
        return;
    }
    let _sshd = Server::start(
        dir.path(),
        &find("sshd").unwrap(),
        &["-D", "-e", "-f", &format!("{home}/sshd_config")],
    );
    wait("sshd listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let options: Vec<String> = [
        "-F",
        "none",
        "-p",
        &port.to_string(),
        "-i",
        &format!("{home}/user"),
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        &format!("UserKnownHostsFile={home}/known"),
    ]
    .map(str::to_owned)
    .to_vec();
    let deeds = Deeds::new(dir.path());
    let order = json!({
        "host": format!("{}@127.0.0.1", user.trim()), "options": options,
        "argv": ["sh", "-c", format!("cat > '{home}/it is' && echo $0 >> '{home}/it is'"), "a b'c"],
        "observe": ["test", "-e", format!("{home}/it is")],
    });
    deeds.done("ssh", &order, (3, 1)).await;
    let heard = std::fs::read_to_string(dir.path().join("it is")).unwrap();
    assert!(heard.contains("\"epoch\":3") && heard.ends_with("a b'c\n"), "{heard}");
    let nobody = json!({"host": "x@127.0.0.1", "options": ["-F", "none", "-p", free_port().to_string()], "argv": ["true"], "observe": ["true"]});
    assert!(matches!(deeds.apply("ssh", &nobody, (3, 1)).await, Applied::Unknown(_)));
    assert_eq!(
        deeds.look("ssh", &nobody, (3, 1)).await,
        Effect::Unknown,
        "a lost connection tells nothing"
    );
}
