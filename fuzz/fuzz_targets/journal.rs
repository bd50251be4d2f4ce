//! Guards the journal: any bytes are whole records and a torn end, or damage with its place.
#![no_main]

use jurymast::act::journal::{State, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(decoded) = decode(data) {
        State::read(&decoded.records);
    }
});
