//! Expressions of all kinds.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tradewind_fuzz::expression(data));
