#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| horizond_fuzz::wire::check(data));
