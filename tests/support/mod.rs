//! A server in this process on loopback, clients for it, and certificates.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    clippy::allow_attributes,
    reason = "each test binary uses its part of this module, and tests may panic"
)]

pub mod any_certificate;
pub mod client;
pub mod mail;
pub mod parrot;

use restante::server::{
    At, Bound, CertificateFiles, Control, DEFAULT_BACKLOG, Listener, Running, Service, Services,
    Settings, Tls, TlsMode, TlsSettings, start,
};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(20);

/// Longer than any test.
pub const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A running server with one listener each: IMAP with STARTTLS, IMAP with TLS, POP3 with STLS.
#[derive(Debug)]
pub struct House {
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
    control: Control,
    pub imap: SocketAddr,
    pub imaps: SocketAddr,
    pub pop3: SocketAddr,
    pub pop3s: SocketAddr,
}

impl House {
    pub fn start(settings: &Settings, tls: &TlsSettings, services: Services) -> Self {
        let listener = |service, tls| Listener {
            at: At::Address("127.0.0.1:0".parse().unwrap()),
            service,
            tls,
        };
        let listeners = [
            listener(Service::Imap, TlsMode::Start),
            listener(Service::Imap, TlsMode::Implicit),
            listener(Service::Pop3, TlsMode::Start),
            listener(Service::Pop3, TlsMode::Implicit),
        ];
        let bound = Bound::bind(&listeners, DEFAULT_BACKLOG, settings.timeouts.keepalive).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let running = runtime
            .block_on(async { start(bound, Some(Tls::load(tls).unwrap()), settings, services) })
            .unwrap();
        let address = |index: usize| running.doors()[index].address;
        Self {
            imap: address(0),
            imaps: address(1),
            pop3: address(2),
            pop3s: address(3),
            control: running.control(),
            running: Some(running),
            runtime,
        }
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Begins an orderly stop; the returned handle ends when it is over.
    pub fn stop(&mut self) -> std::thread::JoinHandle<()> {
        let running = self.running.take().unwrap();
        let handle = self.runtime.handle().clone();
        std::thread::spawn(move || handle.block_on(running.stop()))
    }

    /// Waits until there are so many connections.
    pub fn wait_for_connections(&self, count: usize) {
        let deadline = std::time::Instant::now() + SOON;
        while self.control.connections() != count {
            assert!(
                std::time::Instant::now() < deadline,
                "{} connections instead of {count}",
                self.control.connections()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Writes a self-signed certificate for names, and its key.
pub fn certificate(directory: &Path, file: &str, names: &[&str]) -> CertificateFiles {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let files = CertificateFiles {
        chain: directory.join(format!("{file}.crt")),
        key: directory.join(format!("{file}.key")),
    };
    put(&files.chain, &made.cert.pem());
    put(&files.key, &made.signing_key.serialize_pem());
    files
}

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
