//! The faults. A move cures those of the active instance or its host, and no others.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::site::Site;

type Act = for<'a> fn(&'a mut Site) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub struct Fault {
    pub name: &'static str,
    /// A move cures it.
    pub cured: bool,
    pub act: Act,
}

macro_rules! fault {
    ($cured:literal, $name:literal, |$site:ident| $act:expr) => {
        Fault {
            name: $name,
            cured: $cured,
            act: |$site| {
                Box::pin(async move {
                    $act;
                })
            },
        }
    };
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Dies and is started again, and dies.
async fn crash_loop(site: &mut Site) {
    for _ in 0..12 {
        site.kill("a");
        pause(700).await;
        site.start_instance("a");
        pause(300).await;
    }
    site.kill("a");
}

/// Stands still for a moment, again and again.
async fn blinks(site: &mut Site) {
    for _ in 0..4 {
        site.signal("a", "STOP");
        pause(300).await;
        site.signal("a", "CONT");
        pause(2_000).await;
    }
}

/// Everybody who watches, but nobody who is watched.
async fn watchers_pause(site: &mut Site) {
    let all = [
        "prometheus",
        "alertmanager",
        "haproxy",
        "keepalived-a",
        "keepalived-b",
        "jurymast",
    ];
    for name in all {
        site.signal(name, "STOP");
    }
    pause(4_000).await;
    for name in all {
        site.signal(name, "CONT");
    }
}

async fn cable_blinks(site: &mut Site) {
    site.cable('a', "down");
    pause(400).await;
    site.cable('a', "up");
}

async fn one_after_the_other(site: &mut Site) {
    site.mode("b", "status 503");
    pause(4_000).await;
    site.mode("a", "status 503");
}

async fn restarted(site: &mut Site) {
    site.kill("a");
    pause(200).await;
    site.start_instance("a");
}

/// What runs on the host of the active instance stands still, and its network goes on.
fn host_hangs(site: &Site) {
    site.signal("a", "STOP");
    site.signal("keepalived-a", "STOP");
}

fn host_dies(site: &mut Site) {
    site.cable('a', "down");
    site.kill("a");
    site.kill("keepalived-a");
}

pub const FAULTS: [Fault; 40] = [
    fault!(true, "killed (SIGKILL)", |s| s.kill("a")),
    fault!(true, "crashed (SIGABRT)", |s| s.signal("a", "ABRT")),
    fault!(true, "ended by itself (SIGTERM), nobody starts it again", |s| s
        .signal("a", "TERM")),
    fault!(true, "hangs (SIGSTOP)", |s| s.signal("a", "STOP")),
    fault!(true, "lives, but has closed its port", |s| s.mode("a", "closed")),
    fault!(true, "503 on every path", |s| s.mode("a", "status 503")),
    fault!(true, "503 but for its metrics", |s| s
        .mode("a", "status-but-metrics 503")),
    fault!(true, "500 on every path", |s| s.mode("a", "status 500")),
    fault!(true, "500 for its work, its health says good", |s| s
        .mode("a", "status-of-work 500")),
    fault!(true, "accepts and never answers", |s| s.mode("a", "silent")),
    fault!(true, "resets every connection", |s| s.mode("a", "reset")),
    fault!(true, "answers what is no HTTP", |s| s.mode("a", "garbage")),
    fault!(true, "answers after 10 s only", |s| s.mode("a", "slow 10000")),
    fault!(true, "cable of its host pulled", |s| s.cable('a', "down")),
    fault!(true, "its host dies", |s| host_dies(s)),
    fault!(true, "its host hangs, the network answers", |s| host_hangs(s)),
    fault!(true, "dies again and again", |s| crash_loop(s).await),
    fault!(true, "503 at first, then killed", |s| {
        s.mode("a", "status 503");
        pause(1_000).await;
        s.kill("a");
    }),
    fault!(true, "killed while one line of devices is silent", |s| {
        s.mode("devices", "silent-line");
        s.kill("a");
    }),
    fault!(true, "killed while a sensor says nonsense", |s| {
        s.mode("devices", "jump");
        s.kill("a");
    }),
    fault!(false, "shared database killed", |s| s.kill("db")),
    fault!(false, "shared database hangs", |s| s.signal("db", "STOP")),
    fault!(false, "shared database answers 500", |s| s.mode("db", "status 500")),
    fault!(false, "host of database and broker lost", |s| s.cable('c', "down")),
    fault!(false, "broker killed", |s| s.kill("broker")),
    fault!(false, "broker hangs", |s| s.signal("broker", "STOP")),
    fault!(false, "the watching machine's own cable pulled", |s| s
        .cable('w', "down")),
    fault!(false, "one device sends what cannot be read", |s| s
        .mode("devices", "bad")),
    fault!(false, "one sensor is stuck", |s| s.mode("devices", "stuck")),
    fault!(false, "one sensor says 9999", |s| s.mode("devices", "jump")),
    fault!(false, "one line of devices falls silent", |s| s
        .mode("devices", "silent-line")),
    fault!(false, "stands still for 0.3 s, four times", |s| blinks(s).await),
    fault!(false, "started again at once by its supervisor", |s| restarted(s).await),
    fault!(false, "cable of its host pulled for 0.4 s", |s| cable_blinks(s).await),
    fault!(false, "metrics are nonsense, the service is good", |s| s
        .mode("a", "garbage-metrics")),
    fault!(false, "metrics are gone (404), the service is good", |s| s
        .mode("a", "no-metrics")),
    fault!(false, "metrics take 5 s, the service is good", |s| s
        .mode("a", "slow-metrics 5000")),
    fault!(false, "clients ask for what is not there (404)", |s| s
        .mode("a", "status-of-work 404")),
    fault!(false, "the standby is ill first, then the active as well", |s| {
        one_after_the_other(s).await
    }),
    fault!(false, "the watchers stand still for 4 s", |s| watchers_pause(s).await),
];
