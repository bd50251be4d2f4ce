//! What is handed to users: the Debian package, put into a folder as dpkg would, started as systemd would, and the manifests for Kubernetes.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::{PATIENCE, Server, free_port, skipped};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn good(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// `dpkg` upon a system of its own below `root`.
fn dpkg(root: &Path) -> Command {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display())).args([
        "--force-not-root",
        "--force-script-chrootless",
        "--force-depends",
    ]);
    command
}

/// The package of this build, installed into an empty system.
fn installed(root: &Path) {
    good(Command::new(Path::new(ROOT).join("deploy/package")).arg("dev"));
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from);
    let mut packages: Vec<PathBuf> = std::fs::read_dir(folder.join("debian"))
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    packages.sort();
    for kept in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(kept)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    good(dpkg(root).arg("-i").arg(packages.pop().unwrap()));
}

#[test]
fn the_debian_package_is_installed_starts_and_is_removed_again() {
    if skipped("the Debian package", &["cargo-deb", "dpkg"]) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    installed(root.path());
    for file in [
        "etc/jurymast/jurymast.yml",
        "usr/share/man/man1/jurymast.1.gz",
        "usr/share/man/man1/jurymast-failback.1.gz",
        "usr/share/bash-completion/completions/jurymast",
        "usr/share/doc/jurymast/examples/jurymast.yml",
    ] {
        assert!(root.path().join(file).is_file(), "{file}");
    }
    let unit =
        ["lib/systemd/system", "usr/lib/systemd/system"].map(|dir| root.path().join(dir).join("jurymast.service"));
    assert!(unit.iter().any(|unit| unit.is_file()), "a unit for systemd");
    let kept = std::fs::read_to_string(root.path().join("var/lib/dpkg/info/jurymast.conffiles")).unwrap();
    assert_eq!(
        kept.trim(),
        "/etc/jurymast/jurymast.yml",
        "an edited config survives an upgrade"
    );

    // As the unit starts it: the default config, the state folder from the environment, readiness by the socket.
    let program = root.path().join("usr/bin/jurymast");
    let config = root.path().join("etc/jurymast/jurymast.yml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("9909", &free_port().to_string())).unwrap();
    let state = root.path().join("var/lib/jurymast");
    std::fs::create_dir_all(&state).unwrap();
    good(
        Command::new(&program)
            .args(["check", "config"])
            .arg(&config)
            .env("JURYMAST_DATA_DIR", &state),
    );
    let socket = root.path().join("notify");
    let told = UnixDatagram::bind(&socket).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Command::new(&program)
        .args(["run", "-c"])
        .arg(&config)
        .env("JURYMAST_DATA_DIR", &state)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", Duration::from_secs(10).as_micros().to_string())
        .spawn()
        .unwrap();
    let agent = Server::of(child);
    let mut heard = [0; 256];
    let length = told.recv(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard[..length]).trim(), "READY=1");
    assert!(agent.terminate(), "SIGTERM ends it well");

    good(dpkg(root.path()).args(["-r", "jurymast"]));
    assert!(!program.exists(), "the program goes");
    assert!(config.is_file(), "an edited config stays");
    good(dpkg(root.path()).args(["-P", "jurymast"]));
    assert!(!config.exists(), "unless all of it is to go");
}

/// The config inside the manifest is one that the agent takes.
#[test]
fn the_manifest_for_kubernetes_holds_a_good_config() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("deploy/kubernetes/jurymast.yml")).unwrap();
    let config: Vec<&str> = text
        .lines()
        .skip_while(|line| line.trim() != "jurymast.yml: |")
        .skip(1)
        .take_while(|line| line.starts_with("    "))
        .map(|line| &line[4..])
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "a token that is long enough\n").unwrap();
    let file = dir.path().join("jurymast.yml");
    let config = config
        .join("\n")
        .replace("/run/secrets/jurymast/token", &token.display().to_string());
    std::fs::write(&file, config).unwrap();
    let said = good(
        Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(["check", "config"])
            .arg(&file),
    );
    assert!(said.contains("good"), "{said}");
}
