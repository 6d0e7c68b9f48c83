//! See `restante::fuzzing::compressed`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::compressed(octets));
