//! Guards `ingest::mqtt::frames`: no stream makes it panic, take what is not there or wait for nothing, and it does not matter in which
//! pieces a stream comes.
#![no_main]

use jurymast::ingest::mqtt::Protocol;
use jurymast::ingest::mqtt::frames::{Cut, Cutter};
use libfuzzer_sys::fuzz_target;

fn said(protocol: Protocol, stream: &[u8], piece: usize) -> Vec<String> {
    let (mut cutter, mut said) = (Cutter::new(protocol, 100), Vec::new());
    let (mut from, mut end) = (0, piece.min(stream.len()));
    loop {
        match cutter.cut(&stream[from..end]) {
            Ok(Cut::Frame(frame, taken)) => {
                assert!(taken > 0 && from + taken <= end);
                said.push(format!("{frame:?}"));
                from += taken;
            }
            Ok(Cut::Skipped(taken)) => {
                assert!(taken > 0 && from + taken <= end);
                from += taken;
            }
            Ok(Cut::More(needed)) => {
                assert!(needed > end - from);
                if end == stream.len() {
                    return said;
                }
                end = (end + piece).min(stream.len());
            }
            Err(error) => {
                said.push(error.to_string());
                return said;
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, stream)) = data.split_first() else {
        return;
    };
    for protocol in [Protocol::V311, Protocol::V5] {
        let pieces = said(protocol, stream, usize::from(*piece).max(1));
        assert_eq!(pieces, said(protocol, stream, stream.len()));
    }
});
