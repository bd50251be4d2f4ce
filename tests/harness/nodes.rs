//! Machines of their own in namespaces of Linux: each with its network, its processes and its folders of state, on one wire with the test itself, which runs
//! apart as well. So managers run here as they do in production, on several machines; and all of it ends with the test, whatever becomes of that.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use super::{find, wait};

/// Everything of its own, and nothing is left of it when whoever began it has ended.
const UNSHARE: [&str; 9] = [
    "unshare",
    "--net",
    "--mount",
    "--ipc",
    "--pid",
    "--uts",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
];

/// Says in a test's environment that it runs apart.
const APART: &str = "JURYMAST_TEST_APART";

/// The address that moves.
pub const ADDRESS: &str = "10.9.0.100";

/// Whether this is the test itself, in namespaces of its own. If not it has been run there by now, to its good end, or is left out.
pub fn apart(test: &str, programs: &[&str]) -> bool {
    if std::env::var(APART).is_ok_and(|name| name == test) {
        return true;
    }
    let tools = ["unshare", "nsenter", "setpriv", "ip", "perl"];
    if super::skipped(test, &[tools.as_slice(), programs].concat()) {
        return false;
    }
    let may = Command::new(UNSHARE[0])
        .args(&UNSHARE[1..])
        .arg("true")
        .output()
        .unwrap();
    if !may.status.success() {
        let why = String::from_utf8_lossy(&may.stderr);
        println!("SKIPPED: {test} (no namespaces for us: {})", why.trim());
        return false;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    // For its temporary files, and the logins to the machines in front of all programs. Whoever runs there under another name may write too.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let ran = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .args(UNSHARE)
        .args(["sh", "-euc", "ip link set lo up; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(APART, test)
        .env("TMPDIR", folder.path())
        .env(
            "PATH",
            format!("{}/bin:{path}:/usr/sbin:/sbin", folder.path().display()),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = super::said(&ran);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// The machines `a` and `b` on one wire with us.
pub struct Nodes {
    nodes: [Node; 2],
}

/// One of them.
struct Node {
    name: &'static str,
    child: Child,
    id: String,
}

impl Nodes {
    /// Starts them. Each has its own `/run`, and says its name on port 80; `script` sees `$name` and `$number`, and the wire `eth0`.
    pub fn start(script: &str) -> Self {
        ip("link add br0 type bridge");
        ip("addr add 10.9.0.10/24 dev br0");
        ip("link set br0 up");
        logins();
        let nodes = Self {
            nodes: [Node::start("a", 1, script), Node::start("b", 2, script)],
        };
        wait("both machines serve", || {
            ["10.9.0.1", "10.9.0.2"].iter().all(|address| served(address).is_some())
        });
        nodes
    }

    fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }

    /// Runs a program over there.
    pub fn run(&self, node: &str, argv: &[&str]) -> Output {
        let node = self.node(node);
        Command::new("nsenter")
            .args(["-t", &node.id, "-m", "-n", "-i", "-p", "-u"])
            .args(argv)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a program says over there, which has to end well.
    pub fn says(&self, node: &str, argv: &[&str]) -> String {
        let ran = self.run(node, argv);
        assert!(ran.status.success(), "{argv:?} at {node}: {}", super::said(&ran));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Whether it has the address that moves.
    pub fn holds(&self, node: &str) -> bool {
        !self.says(node, &["ip", "-o", "addr", "show", "to", ADDRESS]).is_empty()
    }

    /// Its power goes.
    pub fn kill(&mut self, node: &str) {
        let node = self.nodes.iter_mut().find(|other| other.name == node).unwrap();
        node.end();
    }
}

impl Node {
    fn start(name: &'static str, number: u8, script: &str) -> Self {
        let log = std::fs::File::create(log_of(name)).unwrap();
        let text = format!(
            "name={name} number={number}\nmount --make-rprivate /\nmount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /dev/shm\nhostname $name\nip link set lo up\n\
             until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done\nip addr add 10.9.0.$number/24 dev eth0\nip link set eth0 up\n\
             perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die; while ($c = $s->accept) {{ sysread $c, $b, 999; \
             print $c \"HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\nConnection: close\\r\\n\\r\\n$ARGV[0]\"; close $c }}' $name &\n{script}\nexec sleep infinity\n"
        );
        let child = Command::new(UNSHARE[0])
            .args(&UNSHARE[1..])
            .args(["sh", "-euc", &text])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let mut id = String::new();
        // Its own network is there once it has begun.
        wait("a machine runs", || {
            std::fs::read_to_string(&children)
                .unwrap_or_default()
                .trim()
                .clone_into(&mut id);
            let net = |id: &str| std::fs::read_link(format!("/proc/{id}/ns/net")).ok();
            !id.is_empty() && net(&id).is_some_and(|theirs| Some(theirs) != net("self"))
        });
        ip(&format!("link add v-{name} type veth peer name eth0 netns {id}"));
        ip(&format!("link set v-{name} master br0 up"));
        std::fs::write(bin().join(name), &id).unwrap();
        Self { name, child, id }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(log_of(self.name)).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(20).collect();
            println!(
                "{}: {}",
                self.name,
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        self.end();
    }
}

/// The logins, and who is behind them.
fn bin() -> PathBuf {
    std::env::temp_dir().join("bin")
}

fn log_of(node: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{node}.log"))
}

fn ip(words: &str) {
    let ran = Command::new(find("ip").unwrap())
        .args(words.split(' '))
        .output()
        .unwrap();
    assert!(ran.status.success(), "ip {words}: {}", super::said(&ran));
}

/// Who answers at that address.
pub fn served(address: &str) -> Option<String> {
    use std::io::{Read, Write};
    let limit = std::time::Duration::from_millis(500);
    let mut stream = std::net::TcpStream::connect_timeout(&format!("{address}:80").parse().unwrap(), limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.split_once("\r\n\r\n")?.1.to_owned())
}

/// `ssh root@a` is a login to that machine, for whoever is started by this test. A dead one is not to be reached.
fn logins() {
    let bin = bin();
    std::fs::create_dir_all(&bin).unwrap();
    let text = "#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nid=$(cat \"${0%/*}/${1#*@}\") && readlink /proc/$id/ns/net >/dev/null || exit 255\n\
                exec nsenter -t $id -m -n -i -p -u sh -c \"$2\"\n";
    std::fs::write(bin.join("ssh"), text).unwrap();
    std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A Pacemaker on both machines, over Corosync, with the address as its resource `vip`, which runs on `a` at first, a group `pair`, a promotable clone `db` and a clone
/// `all`.
pub fn pacemaker(corosync: &str) -> Nodes {
    let script = "for folder in /var/log /var/lib/pacemaker /var/lib/corosync /etc/corosync; do mount -t tmpfs tmpfs $folder; done
mkdir -p /run/lock /run/resource-agents /var/log/pacemaker /var/log/corosync
cd /var/lib/pacemaker; mkdir cib pengine blackbox cores
cat > cib/cib.xml <<END
<cib crm_feature_set=\"3.0.14\" validate-with=\"pacemaker-3.9\" epoch=\"1\" num_updates=\"0\" admin_epoch=\"1\"><configuration><crm_config><cluster_property_set id=\"o\">
<nvpair id=\"o1\" name=\"stonith-enabled\" value=\"false\"/><nvpair id=\"o2\" name=\"dc-deadtime\" value=\"2s\"/></cluster_property_set></crm_config>
<nodes><node id=\"1\" uname=\"a\"/><node id=\"2\" uname=\"b\"/></nodes>
<resources><primitive id=\"vip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"><instance_attributes id=\"i\"><nvpair id=\"i1\" name=\"ip\" value=\"ADDRESS\"/>
<nvpair id=\"i2\" name=\"cidr_netmask\" value=\"24\"/></instance_attributes><meta_attributes id=\"vip-meta_attributes\"><nvpair id=\"vip-meta_attributes-resource-stickiness\"
name=\"resource-stickiness\" value=\"100\"/></meta_attributes><operations><op id=\"m\" name=\"monitor\" interval=\"2s\"/></operations></primitive>
<group id=\"pair\"><meta_attributes id=\"p\"><nvpair id=\"p1\" name=\"resource-stickiness\" value=\"100\"/></meta_attributes><primitive id=\"one\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/><primitive id=\"two\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/></group>
<clone id=\"db\"><meta_attributes id=\"d\"><nvpair id=\"d1\" name=\"promotable\" value=\"true\"/></meta_attributes>
<primitive id=\"data\" class=\"ocf\" provider=\"pacemaker\" type=\"Stateful\"/></clone>
<clone id=\"all\"><primitive id=\"each\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/></clone></resources>
<constraints><rsc_location id=\"home\" rsc=\"vip\" node=\"a\" score=\"10\"/></constraints></configuration><status/></cib>
END
chown -R hacluster:haclient .
cat > /etc/corosync/corosync.conf <<END
totem {
 version: 2
 cluster_name: plant
 transport: udpu
}
nodelist {
 node {
  ring0_addr: 10.9.0.1
  name: a
  nodeid: 1
 }
 node {
  ring0_addr: 10.9.0.2
  name: b
  nodeid: 2
 }
}
quorum {
 provider: corosync_votequorum
 QUORUM
}
logging {
 to_logfile: yes
 logfile: /var/log/corosync/corosync.log
}
END
corosync -f &
until corosync-cfgtool -s >/dev/null 2>&1; do sleep 0.1; done
pacemakerd -f &";
    let nodes = Nodes::start(&script.replace("ADDRESS", ADDRESS).replace("QUORUM", corosync));
    let runs = |nodes: &Nodes| {
        let told = nodes.run("b", &["crm_resource", "--resource", "vip", "--locate"]);
        let promoted = nodes.run("b", &["crm_resource", "--resource", "db", "--locate"]);
        super::said(&told).contains("running on: a")
            && super::said(&promoted).contains("Promoted")
            && served(ADDRESS).is_some_and(|name| name == "a")
    };
    wait("Pacemaker runs the address on a", || runs(&nodes));
    nodes
}

/// keepalived on both machines; `a` has the higher priority, and the address at first.
pub fn keepalived() -> Nodes {
    let script = "cat > /run/keepalived.conf <<END
global_defs {
 router_id $name
}
track_file by_hand {
 file /run/weight
 init_file 0
}
vrrp_instance plant {
 interface eth0
 virtual_router_id 7
 state BACKUP
 priority $((120 - number * 10))
 advert_int 1
 virtual_ipaddress {
  ADDRESS/24
 }
 track_file {
  by_hand
 }
}
END
keepalived -n -l -P -f /run/keepalived.conf -p /run/keepalived.pid -r /run/vrrp.pid &";
    let nodes = Nodes::start(&script.replace("ADDRESS", ADDRESS));
    wait("a holds the address", || {
        nodes.holds("a") && served(ADDRESS).is_some_and(|name| name == "a")
    });
    nodes
}
