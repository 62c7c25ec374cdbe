#![no_main]

libfuzzer_sys::fuzz_target!(init: authy_fuzz::begin("recording"), |input: &[u8]| authy_fuzz::read(input));
