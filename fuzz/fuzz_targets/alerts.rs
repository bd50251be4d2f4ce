//! Guards the bodies of alerts from outside.
#![no_main]

use jurymast::ingest::alertmanager::{AlertSettings, alerts, webhook};
use jurymast::model::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (settings, now) = (AlertSettings::default(), Timestamp::from_secs(1_767_225_600));
    let _ = webhook(data, &settings, now);
    let _ = alerts(data, &settings, now);
});
