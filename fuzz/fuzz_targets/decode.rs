//! Bodies of all operations.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tradewind_fuzz::request(data));
