//! Guards the lines of a capsule.
#![no_main]

use jurymast::capsule::codec::Decoder;
use jurymast::model::Catalog;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut decoder = Decoder::new(Catalog::new());
    for line in text.lines() {
        let _ = decoder.decode(line);
    }
});
