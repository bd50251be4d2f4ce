//! Guards the bodies of alerts from outside.
#![no_main]

use jurymast::ingest::alertmanager::{AlertSettings, Episodes, alerts, webhook};
use jurymast::model::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (settings, now) = (AlertSettings::default(), Timestamp::from_secs(1_767_225_600));
    let mut episodes = Episodes::default();
    for taken in [webhook(data, &settings, now), alerts(data, &settings, now)].into_iter().flatten() {
        for told in &taken.told {
            episodes.admit(told);
        }
    }
    let _ = episodes.overdue(Timestamp::MAX);
});
