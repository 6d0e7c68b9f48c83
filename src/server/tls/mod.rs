//! TLS: which versions, key exchanges and certificates, and how renewed certificates come into use.
//!
//! The configuration is made once; only the table of certificates behind it changes (`certificates.rs`), so that sessions, tickets and
//! handshakes in progress never notice a renewal.

mod certificates;
mod expiry;

pub use certificates::{CertificateError, CertificateFiles};

use super::Service;
use certificates::Certificates;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, kx_group};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ProtocolVersion, ServerConfig, SupportedProtocolVersion, server::ServerSessionMemoryCache,
};

/// Time between two looks at the certificate files: a few system calls, so that whoever renews a certificate can look at the result
/// at once. SIGHUP looks without waiting.
pub const DEFAULT_CHECK: Duration = Duration::from_secs(10);

/// Sessions kept for resumption by TLS 1.2 clients that do not do tickets.
const CACHED_SESSIONS: usize = 1024;

/// TLS 1.3 tickets sent after a handshake: mail programs open several connections, but not many at once.
const TICKETS: usize = 2;

/// Which version of TLS a client must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeastTls {
    /// TLS 1.2 (RFC 8314 §4).
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// How TLS is done.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificates; the first is for clients that name no server or one that is unknown.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version of TLS.
    pub least: LeastTls,
    /// Time between two looks at the certificate files.
    pub check: Duration,
}

impl TlsSettings {
    /// The default way with these certificates.
    pub const fn new(certificates: Vec<CertificateFiles>) -> Self {
        Self {
            certificates,
            least: LeastTls::V1_2,
            check: DEFAULT_CHECK,
        }
    }
}

/// Ready for handshakes.
#[derive(Debug)]
pub struct Tls {
    imap: Arc<ServerConfig>,
    pop3: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    check: Duration,
}

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    /// [`CertificateError`] if any pair of files is unreadable, malformed or does not belong together.
    pub fn load(settings: &TlsSettings) -> Result<Self, CertificateError> {
        let provider = Arc::new(provider());
        let certificates = Certificates::load(&settings.certificates, Arc::clone(&provider))?;
        Self::new(certificates, &provider, settings)
    }

    /// Takes one certificate, PEM, that is not read from files; those of the settings are passed over.
    ///
    /// # Errors
    /// [`CertificateError`] if it is malformed or the key is of another one.
    pub fn fixed(
        chain: &[u8],
        key: &[u8],
        settings: &TlsSettings,
    ) -> Result<Self, CertificateError> {
        let provider = Arc::new(provider());
        let certificates = Certificates::fixed(chain, key, Arc::clone(&provider))?;
        Self::new(certificates, &provider, settings)
    }

    fn new(
        certificates: Certificates,
        provider: &Arc<CryptoProvider>,
        settings: &TlsSettings,
    ) -> Result<Self, CertificateError> {
        let certificates = Arc::new(certificates);
        let config = |service| config(service, settings.least, provider, &certificates);
        Ok(Self {
            imap: Arc::new(config(Service::Imap)?),
            pop3: Arc::new(config(Service::Pop3)?),
            certificates,
            check: settings.check,
        })
    }

    /// When each certificate that was read from files ends, in seconds since 1970, as far as that can be told.
    pub fn ends(&self) -> Vec<Option<i64>> {
        self.certificates.ends()
    }

    /// For one handshake.
    pub(super) fn acceptor(&self, service: Service) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(match service {
            Service::Imap => &self.imap,
            Service::Pop3 => &self.pop3,
        }))
    }
}

/// Looks at the certificate files at once, every now and then, and whenever asked to.
pub(super) async fn watch(tls: Arc<Tls>, asked: Arc<Notify>) {
    let mut is_asked = false;
    loop {
        let certificates = Arc::clone(&tls.certificates);
        // On a thread of its own: the files may lie where reading hangs.
        let look = move || certificates.refresh(super::unix_time(), is_asked);
        if tokio::task::spawn_blocking(look).await.is_err() {
            tracing::error!("certificate_check_failed");
        }
        is_asked = tokio::time::timeout(tls.check, asked.notified())
            .await
            .is_ok();
    }
}

/// The cryptography: that of aws-lc-rs, with the post-quantum key exchange preferred.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}

fn config(
    service: Service,
    least: LeastTls,
    provider: &Arc<CryptoProvider>,
    certificates: &Arc<Certificates>,
) -> Result<ServerConfig, CertificateError> {
    let versions: &[&SupportedProtocolVersion] = match least {
        LeastTls::V1_2 => &[&TLS13, &TLS12],
        LeastTls::V1_3 => &[&TLS13],
    };
    let resolver = Arc::clone(certificates);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(CertificateError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![service.name().as_bytes().to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(CACHED_SESSIONS);
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::Tls)?;
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

/// As it is logged and shown.
pub(super) fn version_name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}
