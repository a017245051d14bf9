#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| horizond_fuzz::cni::check(data));
