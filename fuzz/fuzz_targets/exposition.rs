//! Guards `ingest::prometheus::exposition`: no text makes it panic or take more than linear time.
#![no_main]

use jurymast::ingest::prometheus::exposition::{Format, parse, split_series};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [Format::Text, Format::OpenMetrics] {
        let _ = parse(data, format, |line| {
            split_series(line.series);
        });
    }
});
