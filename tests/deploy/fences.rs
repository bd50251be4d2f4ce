//! The fences of `deploy/examples/fences/`: each takes the power of who it is told to, is seen to hold, gives it back, and refuses a stale token. The broker's with a real Mosquitto; firewall
//! and power on stand-ins that keep to the recorded contract of `nft`, `ipmitool` and Redfish.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use jurymast::act::runner::{Applied, Effect};
use jurymast::config::Config;
use jurymast::model::plan::Phase;
use jurymast::model::{EntityName, PlanKind, Step, Token};
use jurymast::plan::Playbooks;

use crate::harness::deed::Deeds;
use crate::harness::{Server, find, free_port, skipped, stand_in, wait};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/fences")
}

/// The steps of the example's playbook, with that program.
fn steps(program: &str, from: &str, to: &str) -> Vec<Step> {
    let text = std::fs::read_to_string(folder().join("fenced-by-command.yml")).unwrap();
    let playbooks = Playbooks::parse([("fenced-by-command.yml", text.as_str())]).unwrap();
    let config = format!(
        "topology: {{entities: [{{name: b, kind: service, attributes: {{fence: b-there}}}}]}}\nservices:\n  - {{name: app, active: a, standbys: [{{entity: b}}, \
         {{entity: c}}], single_writer: true, playbook: fenced-by-command, vars: {{fence: '{program}'}}, probe: {{uses: tcp}}}}\n"
    );
    let config = Config::parse(&config).unwrap();
    let service = &config.services[0];
    assert_eq!(playbooks.unfenced(service), None, "it must count for a single writer");
    let (from, to, named): (_, _, [EntityName; 1]) = (from.into(), to.into(), ["c".into()]);
    let token = Token { epoch: 1, seq: 1 };
    playbooks
        .build(
            service,
            PlanKind::Failover,
            &from,
            &to,
            token,
            &named,
            &config.topology(),
        )
        .unwrap()
}

/// Each step: not there, done, there, and done again it is the same.
async fn is_fenced_and_released(dir: &Path, name: &str, conf: &str) {
    for file in [name, "refuse-stale"] {
        std::fs::copy(folder().join(file), dir.join(file)).unwrap();
    }
    let keeper = format!(
        "keeper={} tokens={}/tokens\n",
        env!("CARGO_BIN_EXE_jurymast"),
        dir.display()
    );
    std::fs::write(dir.join("fence.conf"), keeper + conf).unwrap();
    let program = dir.join(name).display().to_string();
    let deeds = Deeds::new(dir);
    let with = |step: &Step| serde_json::Value::Object(step.action.with.clone());
    let first = |steps: &[Step], phase| with(steps.iter().find(|step| step.phase == phase).unwrap());
    // An earlier plan has fenced b.
    deeds
        .done("exec", &first(&steps(&program, "b", "a"), Phase::Fence), (1, 1))
        .await;
    let plan = steps(&program, "a", "b");
    for (phase, seq) in [(Phase::Fence, 2), (Phase::Seal, 3), (Phase::Promote, 4)] {
        deeds.done("exec", &first(&plan, phase), (1, seq)).await;
    }
    let undo = plan[0].undo.as_ref().unwrap();
    deeds
        .done("exec", &serde_json::Value::Object(undo.with.clone()), (1, 5))
        .await;
    // What was under way for long, and comes after that, is refused, and nothing of it is done.
    let fence = first(&plan, Phase::Fence);
    deeds.refused("exec", &fence, (1, 4), "lower than 1.5").await;
    assert_eq!(deeds.look("exec", &fence, (1, 4)).await, Effect::NotThere);
    // … and so is what the plan itself had sent to whom it has sealed since.
    let (release, seal) = (
        first(&steps(&program, "a", "c"), Phase::Promote),
        first(&plan, Phase::Seal),
    );
    let late = deeds.keyed("exec", &release, (1, 3), "another step").await;
    assert!(
        matches!(&late, Applied::NoEffect(why) if why.contains("sealed at 1.3")),
        "{late:?}"
    );
    assert_eq!(deeds.look("exec", &seal, (1, 3)).await, Effect::There);
}

#[tokio::test]
async fn a_firewall_drops_what_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    // `nft` refuses to delete what is not there; several commands in one argument are one transaction.
    let nft = stand_in(
        dir.path(),
        "nft",
        r#"touch $state
case "$*" in
"add element inet jurymast fenced { "*"delete element"*) who=$(echo "$*" | sed 's/^[^{]*{ //; s/ }.*//'); grep -vx "$who" $state > $state.new; mv $state.new $state;;
"add element inet jurymast fenced { "*) echo "$6" | sed 's/^{ //; s/ } *$//' >> $state;;
"get element inet jurymast fenced { "*) who=$(echo "$6" | sed 's/^{ //; s/ } *$//'); grep -qx "$who" $state;;
"list set inet jurymast fenced") ;;
*) exit 1;;
esac"#,
    );
    is_fenced_and_released(dir.path(), "firewall-nft", &format!("nft={nft}\n")).await;
}

#[tokio::test]
async fn a_machine_loses_its_power_by_ipmi() {
    let dir = tempfile::tempdir().unwrap();
    let ipmitool = stand_in(
        dir.path(),
        "ipmitool",
        r#"bmc=$4; [ "$1 $2 $3 $5 $6 $7" = "-I lanplus -H -U jury -f" ] || exit 64
[ "$9 ${10}" = "chassis power" ] || exit 64
shift 10
case $1 in
status) echo "Chassis Power is $(cat $state.$bmc 2>/dev/null || echo on)";;
on|off) echo $1 > $state.$bmc; echo "Chassis Power Control: $1";;
esac"#,
    );
    let conf = format!("ipmitool={ipmitool} bmc_user=jury bmc_password_file=/dev/null\n");
    is_fenced_and_released(dir.path(), "power-ipmi", &conf).await;
}

/// Machines that are on until they are told otherwise, as Redfish has them.
fn redfish() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut off = BTreeSet::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 8192];
            let Ok(length) = stream.read(&mut bytes) else { continue };
            let asked = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let mut words = asked.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let name = path.split('/').nth(1).unwrap_or_default().to_owned();
            let system = format!("/{name}/redfish/v1/Systems/1");
            let mut status = "200 OK";
            let mut body = String::new();
            if !asked.contains("Authorization: Basic anVyeTpzM2NyZXQ=") {
                status = "401 Unauthorized";
            } else if method == "GET" && path == system {
                let state = if off.contains(&name) { "Off" } else { "On" };
                body = format!("{{\"Id\": \"1\", \"PowerState\": \"{state}\"}}\n");
            } else if method == "POST" && path == format!("{system}/Actions/ComputerSystem.Reset") {
                if asked.contains("\"ForceOff\"") {
                    off.insert(name);
                } else {
                    off.remove(&name);
                }
                status = "204 No Content";
            } else {
                status = "404 Not Found";
            }
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn a_machine_loses_its_power_by_redfish() {
    if skipped("fence power-redfish", &["curl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = redfish();
    let netrc = dir.path().join("netrc");
    std::fs::write(&netrc, "machine 127.0.0.1 login jury password s3cret\n").unwrap();
    let conf = format!(
        "redfish=http://127.0.0.1:{port}/NAME/redfish/v1/Systems/1 redfish_netrc={} redfish_ca=/dev/null\n",
        netrc.display()
    );
    is_fenced_and_released(dir.path(), "power-redfish", &conf).await;
}

#[tokio::test]
async fn a_client_loses_its_credentials_at_a_real_broker() {
    let plugin = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so";
    if skipped("fence broker-dynsec", &["mosquitto", "mosquitto_ctrl", "mosquitto_pub"]) {
        return;
    }
    if !Path::new(plugin).is_file() {
        println!("SKIPPED: fence broker-dynsec (no {plugin})");
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let ctrl = |arguments: &[&str]| {
        let made = Command::new(find("mosquitto_ctrl").unwrap())
            .args(arguments)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    ctrl(&["dynsec", "init", "access.json", "admin", "secret"]);
    // The broker writes it as the user that it becomes.
    for (path, mode) in [(dir.path().to_owned(), 0o777), (dir.path().join("access.json"), 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let lines = format!("allow_anonymous false\nplugin {plugin}\nplugin_opt_config_file access.json");
    let _broker = Server::mosquitto(dir.path(), port, &lines);
    let at = port.to_string();
    for user in ["a", "b-there", "c"] {
        let login = ["-h", "127.0.0.1", "-p", &at, "-u", "admin", "-P", "secret"];
        ctrl(&[login.as_slice(), &["dynsec", "createClient", user, "-p", "pw"]].concat());
    }
    let options = format!("-h 127.0.0.1\n-p {port}\n-u admin\n-P secret\n");
    std::fs::write(dir.path().join("mosquitto_ctrl"), options).unwrap();
    let may_speak = |user: &str| {
        let said = Command::new(find("mosquitto_pub").unwrap())
            .args(["-p", &at, "-u", user, "-P", "pw", "-t", "t", "-m", "x"])
            .output();
        said.unwrap().status.success()
    };
    wait("everybody may speak", || may_speak("a") && may_speak("b-there"));
    let conf = format!("dynsec_config={}\n", dir.path().display());
    is_fenced_and_released(dir.path(), "broker-dynsec", &conf).await;
    assert!(
        may_speak("a") && may_speak("b-there") && !may_speak("c"),
        "c was left fenced"
    );
}
