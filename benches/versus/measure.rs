//! What one run gave, and how it is taken.

use super::process;
use super::server::Server;
use std::io;
use std::time::Instant;

/// What one run gave.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Seconds, or a rate, as the row says.
    pub value: f64,
    /// How long the measured part took.
    pub seconds: f64,
    /// CPU seconds of the server during the measured part.
    pub server_cpu: f64,
    /// CPU seconds of the load generator, all its threads, during the measured part.
    pub client_cpu: f64,
    /// Memory of the server at the end of the measured part, its connections still open: proportional share over all its processes.
    pub pss_kib: u64,
}

impl Measured {
    /// The same as a rate of so much in the time.
    pub fn per_second(self, amount: f64) -> Self {
        self.with(amount / self.seconds)
    }

    /// The same with another value.
    pub fn with(self, value: f64) -> Self {
        Self { value, ..self }
    }
}

/// Times an action and what it costs on both sides. What the action returns, its connections, lives until memory has been looked at.
pub fn measure<T>(server: &Server, action: impl FnOnce() -> io::Result<T>) -> io::Result<Measured> {
    let (server_cpu, client_cpu) = (server.cpu_secs(), process::own_cpu_secs());
    let begun = Instant::now();
    let connections = action()?;
    let seconds = begun.elapsed().as_secs_f64();
    let measured = Measured {
        value: seconds,
        seconds,
        client_cpu: process::own_cpu_secs() - client_cpu,
        server_cpu: server.cpu_secs() - server_cpu,
        pss_kib: server.pss_kib(),
    };
    drop(connections);
    Ok(measured)
}
