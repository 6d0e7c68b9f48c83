//! What is logged, for tests that look at it.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::allow_attributes,
    reason = "each test binary uses its part of this module, and tests may panic"
)]

use restante::telemetry::{self, Format};
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

/// Lines as the server writes them.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// All lines.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of an event.
    pub fn lines(&self, event: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(event));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What all threads of this test binary log as errors, from the first call on.
pub fn errors() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = telemetry::subscriber(Format::Human, "error", move || writer.clone());
        tracing::subscriber::set_global_default(subscriber.unwrap()).unwrap();
        log
    })
}

/// What is logged, from `info` upwards, by work that is done on this thread.
pub fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = telemetry::subscriber(Format::Human, "info", move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    log.text()
}
