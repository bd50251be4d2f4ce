//! Guards fault patterns and playbooks: any text is read, or refused with the name of its file.
#![no_main]

use jurymast::diagnose::Library;
use jurymast::plan::Playbooks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Library::parse([("fuzz.yml", text)]) {
        assert!(error.to_string().starts_with("fuzz.yml"), "{error}");
    }
    let _ = Playbooks::parse([("fuzz.yml", text)]);
});
