//! What every coordinator must do, whatever it agrees through.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use jurymast::config::Config;
use jurymast::coordinate::{Coordinator, News, Settings, Who, parts};

use crate::harness::PATIENCE;

/// One that agrees by these settings about these services (separated by spaces); its folder is `dir`.
pub fn member(settings: &str, dir: &Path, name: &str, services: &str, epoch: u64) -> Box<dyn Coordinator> {
    let service = |name: &str| {
        format!(
            "{{name: {name}, active: {name}-a, standbys: [{{entity: {name}-b}}], playbook: p, probe: {{uses: tcp}}}}"
        )
    };
    let services: Vec<String> = services.split(' ').map(service).collect();
    let config = Config::parse(&format!(
        "coordinate: {{{settings}}}\nservices: [{}]",
        services.join(",")
    ))
    .unwrap();
    let who = Who {
        agent: name.into(),
        run: format!("run {} of {name}", fastrand::u32(..)),
        epoch,
        lease_file: dir.join(format!("lease-{name}")),
    };
    let settings: &Settings = &config.coordinate;
    settings.check().unwrap();
    let made = settings.coordinator(parts(&config.services, &config.topology()), who);
    made.unwrap().unwrap()
}

pub async fn until(member: &mut Box<dyn Coordinator>, what: &str, so: impl Fn(&News) -> bool) -> News {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        if let Some(news) = member.beat().await.into_iter().find(|news| so(news)) {
            return news;
        }
        tokio::time::sleep(member.pause()).await;
    }
}

pub fn taken(news: &News) -> Option<u64> {
    match news {
        News::Taken { epoch, .. } => Some(*epoch),
        _ => None,
    }
}

/// A leader that stood still finds that all it would write is refused, and what it wrote is found by the next.
pub async fn a_stale_leader_writes_nothing_and_epochs_only_grow(settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let member = |name, services, epoch| member(settings, dir.path(), name, services, epoch);
    let (mut first, mut second) = (member("one", "x", 5), member("two", "x", 0));
    let old = taken(&until(&mut first, "the lead", |news| taken(news).is_some()).await).unwrap();
    assert!(old > 1_000_000_000, "the first epoch comes from the clock: {old}");
    let store = first.store();
    let service = "x".into();
    store
        .put(&service, "p 0", Some((0, b"intent")), Some(b"state"))
        .await
        .unwrap();
    // The first one stands still.
    let news = until(&mut second, "the other's lead", |news| taken(news).is_some()).await;
    let News::Taken { epoch, folders, .. } = news else {
        panic!()
    };
    assert!(epoch > old);
    assert_eq!(folders[0].entries, [b"intent"]);
    assert_eq!(folders[0].state.as_deref(), Some(&b"state"[..]));
    assert!(store.rights().check(&service).is_err(), "its time is over");
    let refused = store.put(&service, "p 1", Some((1, b"stale")), None).await.unwrap_err();
    assert!(refused.to_string().contains("passed to another agent"), "{refused}");
    until(&mut first, "its loss", |news| matches!(news, News::Lost { .. })).await;
    // The last entry of a plan clears its folder.
    second.store().put(&service, "p 2", None, Some(b"after")).await.unwrap();
    // The same once more, as after an answer that was lost, is as good as once; what was written before it comes too late.
    second.store().put(&service, "p 2", None, Some(b"after")).await.unwrap();
    second.resign().await;
    let news = until(&mut first, "the lead again", |news| taken(news).is_some()).await;
    let News::Taken {
        epoch: again, folders, ..
    } = news
    else {
        panic!()
    };
    assert!(again > epoch && folders[0].entries.is_empty());
    first.resign().await;
    // Whoever knows of higher epochs than the store, because the store was lost, raises them.
    let mut third = member("three", "x", again + 1_000_000);
    let news = until(&mut third, "the lead", |news| taken(news).is_some()).await;
    assert!(taken(&news).unwrap() > again + 1_000_000);
    third.resign().await;
}

/// It stood still until its lease had run out and another one led, and then its config was read anew.
pub async fn whoever_reads_its_config_anew_takes_no_lead_from_whoever_has_it_now(settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let member = |name| member(settings, dir.path(), name, "x", 0);
    let (mut first, mut second) = (member("one"), member("two"));
    until(&mut first, "the lead", |news| taken(news).is_some()).await;
    until(&mut second, "the other's lead", |news| taken(news).is_some()).await;
    first.recut(BTreeMap::new()).await;
    for _ in 0..5 {
        let news = second.beat().await;
        let lost = news.iter().any(|news| matches!(news, News::Lost { .. }));
        assert!(!lost, "{news:?}");
        tokio::time::sleep(second.pause()).await;
    }
    second.resign().await;
}

/// Agents with different configs wait for one another.
pub async fn agents_that_cut_the_services_differently_never_lead_side_by_side(settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let member = |name, services, epoch| member(settings, dir.path(), name, services, epoch);
    let (mut first, mut second) = (member("one", "x y", 0), member("two", "x", 0));
    until(&mut first, "the lead", |news| taken(news).is_some()).await;
    let trouble = |news: &News| matches!(news, News::Trouble(Some(why)) if why.contains("another topology"));
    until(&mut first, "both leads", |_| true).await;
    for _ in 0..20 {
        let news = second.beat().await;
        assert!(news.iter().all(|news| taken(news).is_none()), "{news:?}");
        first.beat().await;
        tokio::time::sleep(first.pause()).await;
    }
    first.resign().await;
    until(&mut second, "the lead", |news| taken(news).is_some()).await;
    // The one with the other cut says what is wrong as long as it lasts.
    let mut third = member("three", "x y", 0);
    until(&mut third, "the reason", trouble).await;
    // And nobody may use another's name.
    let mut twin = member("two", "x", 0);
    std::fs::remove_file(dir.path().join("lease-two")).unwrap();
    let named = |news: &News| matches!(news, News::Trouble(Some(why)) if why.contains("is called two"));
    until(&mut twin, "the reason", named).await;
    second.resign().await;
}

/// Whoever stands aside leaves its lead first and gives it back then, seeks it no more, and has to win it anew.
pub async fn a_lead_is_left_before_it_is_given_back_and_not_sought_again(settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let member = |name| member(settings, dir.path(), name, "x", 0);
    let (mut first, mut second) = (member("one"), member("two"));
    let led_by = |news: &News, name: &str| match news {
        News::Leaders(Some(leaders)) => leaders.get("x").is_some_and(|leader| leader == name),
        _ => false,
    };
    let old = taken(&until(&mut first, "the lead", |news| taken(news).is_some()).await).unwrap();
    until(&mut second, "its leader's name", |news| led_by(news, "one")).await;
    let (store, service) = (first.store(), "x".into());
    store.put(&service, "p 0", None, Some(b"state")).await.unwrap();
    first.stand_aside(["x".to_owned()].into());
    let news = first.beat().await;
    assert!(news.iter().any(|news| matches!(news, News::Lost { .. })), "{news:?}");
    assert!(store.rights().check(&service).is_err(), "nothing is acted upon");
    for _ in 0..10 {
        let news = second.beat().await;
        assert!(
            news.iter().all(|news| taken(news).is_none()),
            "not given back yet: {news:?}"
        );
    }
    // It wants it back at once; but what it has left is no longer its own, whenever it is given back.
    first.stand_aside([].into());
    let news = until(&mut first, "the lead anew", |news| taken(news).is_some()).await;
    let again = taken(&news).unwrap();
    assert!(again > old, "{again} after {old}");
    first.stand_aside(["x".to_owned()].into());
    until(&mut first, "its loss", |news| matches!(news, News::Lost { .. })).await;
    first.beat().await;
    let news = until(&mut second, "the other's lead", |news| taken(news).is_some()).await;
    let News::Taken { epoch, folders, .. } = news else {
        panic!()
    };
    assert!(epoch > again);
    assert_eq!(folders[0].state.as_deref(), Some(&b"state"[..]));
    until(&mut first, "its leader's name", |news| led_by(news, "two")).await;
    let refused = store.put(&service, "p 1", None, Some(b"stale")).await.unwrap_err();
    assert!(refused.to_string().contains("no longer held"), "{refused}");
    second.resign().await;
    let free = |news: &News| matches!(news, News::Leaders(Some(leaders)) if leaders.is_empty());
    until(&mut first, "that nobody leads", free).await;
    for _ in 0..20 {
        let news = first.beat().await;
        assert!(news.iter().all(|news| taken(news).is_none()), "{news:?}");
        tokio::time::sleep(first.pause()).await;
    }
    first.stand_aside([].into());
    let news = until(&mut first, "the lead", |news| taken(news).is_some()).await;
    assert!(taken(&news).unwrap() > epoch);
    first.resign().await;
}
