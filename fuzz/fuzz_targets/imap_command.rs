//! See `restante::fuzzing::imap_command`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::imap_command(octets));
