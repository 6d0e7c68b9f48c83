//! See `restante::fuzzing::sasl`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::sasl(octets));
