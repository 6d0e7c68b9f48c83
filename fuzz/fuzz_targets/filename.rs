//! See `restante::fuzzing::filename`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::filename(octets));
