//! Guards the config: any text is read or refused with a place.
#![no_main]

use jurymast::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Config::parse(text);
});
