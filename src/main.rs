//! The `restante` binary: arguments in, exit status out.
fn main() {}
