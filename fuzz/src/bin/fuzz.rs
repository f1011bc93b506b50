//! libFuzzer on the target that the variable `FUZZ_TARGET` names; see `make fuzz`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    static RUN: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
        fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET must be one of {names:?}")).run
    });
    run(bytes);
});
