#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| beacon_fuzz::receipt::run(data));

#[cfg(not(fuzzing))]
fn main() {}
