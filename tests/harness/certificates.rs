//! Certificates of both sides, made by openssl, and how a Mosquitto uses them.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::path::Path;
use std::process::{Command, Stdio};

/// Started by root, the broker would become another user, who may not read the keys.
pub const CERTIFICATES: &str = "user root\ncafile ca.pem\ncertfile server.pem\nkeyfile server.key\n";

/// A CA, a certificate of the server signed by it, one of a client, and another CA that signed nothing here.
pub fn make_certificates(dir: &Path) {
    let openssl = |arguments: &[&str]| {
        let ended = Command::new("openssl")
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(ended.is_ok_and(|status| status.success()), "openssl {arguments:?}");
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    for ca in ["ca", "stranger"] {
        let (out, keyout, subject) = (format!("{ca}.pem"), format!("{ca}.key"), format!("/CN={ca}"));
        let own = [
            "req", "-x509", "-days", "2", "-subj", &subject, "-out", &out, "-keyout", &keyout,
        ];
        openssl(&[own.as_slice(), &key].concat());
    }
    std::fs::write(
        dir.join("extensions"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    for name in ["server", "client"] {
        let (csr, out, keyout) = (format!("{name}.csr"), format!("{name}.pem"), format!("{name}.key"));
        let subject = format!("/CN={name}");
        let ask = ["req", "-subj", &subject, "-out", &csr, "-keyout", &keyout];
        openssl(&[ask.as_slice(), &key].concat());
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &csr,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "extensions",
            "-out",
            &out,
        ]);
    }
}
