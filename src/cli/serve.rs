//! `restante serve`: the configuration becomes a running server.

use super::{ExitStatus, Failure, failure, home, self_signed, settings};
use crate::auth::Authenticator;
use crate::auth::database::{CredentialStore as _, Database};
use crate::config::load;
use crate::config::{Config, TlsMode};
use crate::index::Index;
use crate::index::sqlite::Databases;
use crate::mailbox::backend::Backend;
use crate::server::{
    self, Bound, DEFAULT_BACKLOG, Door, Services, Signals, Tls, give_up, raise_open_files,
};
use crate::storage::Volumes;
use crate::store::Store;
use crate::{auth, imap, pop3, telemetry};
use sd_notify::NotifyState;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Time that threads of the runtime get to end after the orderly stop; what hangs then ends with the process.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Open files that a server needs besides one for each connection: databases (the index has up to 512), watches, the disk threads' files.
const OTHER_FILES: u64 = 768;

/// Serves until SIGTERM.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let loaded = load::load(path).map_err(|error| Failure::new(ExitStatus::Config, error))?;
    serve(&loaded.config, |_| {})
}

/// Serves a configuration until SIGTERM or SIGINT; `started` is called when clients can connect.
pub(super) fn serve(config: &Config, started: impl FnOnce(&[Door])) -> Result<(), Failure> {
    telemetry::install(settings::log_format(config), &config.log.level)
        .map_err(|error| Failure::new(ExitStatus::Config, error))?;
    std::panic::set_hook(Box::new(log_panic));
    let listeners = settings::listeners(config)?;
    let protocols = (settings::imap(config)?, settings::pop3(config)?);
    look_at_open_files(config);
    let server_settings = settings::server(config);
    let keepalive = server_settings.timeouts.keepalive;
    let bound = Bound::bind(&listeners, DEFAULT_BACKLOG, keepalive).map_err(failure)?;
    become_user(config)?;
    let tls = tls(config)?;
    let authenticator = Arc::new(authenticator(config)?);
    let index = index(config);
    let shared = index.clone().map(|index| -> Arc<dyn Index> { index });
    let store = Arc::new(Store::with_index(settings::store(config), shared));
    store.start();
    let services = services(config, protocols, &authenticator, &store);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("net")
        .enable_all()
        .build()
        .map_err(|error| Failure::general(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(async {
        let signals = Signals::take()
            .map_err(|error| Failure::general(format!("cannot take signals: {error}")))?;
        let running = server::start(bound, tls, &server_settings, services).map_err(failure)?;
        let control = running.control();
        authenticator.on_change(move |user| control.revoke(user));
        announce(running.doors());
        started(running.doors());
        wait_and_stop(running, signals).await;
        Ok(())
    });
    runtime.shutdown_timeout(RUNTIME_END);
    store.rest();
    if let Some(index) = index {
        index.close();
    }
    outcome
}

/// Serves until a signal, then stops; a second signal cuts that short.
async fn wait_and_stop(running: server::Running, mut signals: Signals) {
    let control = running.control();
    signals.until_stop(&control).await;
    tell_service_manager(&[NotifyState::Stopping]);
    tokio::select! {
        () = running.stop() => {}
        () = signals.until_stop(&control) => {}
    }
}

/// Logs where clients can connect and tells the service manager that they can.
fn announce(doors: &[Door]) {
    for door in doors {
        tracing::info!(
            address = %door.address,
            protocol = door.service.name(),
            tls = door.tls.name(),
            "listening"
        );
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    tell_service_manager(&[NotifyState::Ready]);
}

fn tell_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::error!(
            %error,
            advice = "look at NOTIFY_SOCKET and the unit's Type= and NotifyAccess=",
            "service_manager_not_told"
        );
    }
}

/// Raises the limit of open files, and says so if it is still too low.
fn look_at_open_files(config: &Config) {
    let wanted = u64::try_from(config.limits.connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_FILES);
    match raise_open_files() {
        Ok(limit) if limit < wanted => tracing::warn!(
            limit,
            wanted,
            advice = "raise LimitNOFILE of the service or lower limits.connections",
            "open_files_few"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "open_files_unknown"),
    }
}

/// Gives up root where the configuration says for whom.
fn become_user(config: &Config) -> Result<(), Failure> {
    let process = &config.process;
    if process.user.is_empty() {
        if rustix::process::geteuid().is_root() {
            tracing::warn!(
                advice = "set process.user unless every account has a system user of its own",
                "running_as_root"
            );
        }
        return Ok(());
    }
    home::make(config)?;
    let group = Some(process.group.as_str()).filter(|group| !group.is_empty());
    if give_up(&process.user, group).map_err(failure)? {
        tracing::info!(user = process.user, "privileges_dropped");
    }
    Ok(())
}

/// TLS, if any listener wants it; with a certificate of our own making if none is configured.
fn tls(config: &Config) -> Result<Option<Tls>, Failure> {
    if config
        .listeners
        .iter()
        .all(|listener| listener.tls == TlsMode::None)
    {
        return Ok(None);
    }
    let tls = settings::tls(config);
    if !tls.certificates.is_empty() {
        return Tls::load(&tls).map(Some).map_err(failure);
    }
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    tracing::warn!(
        host,
        advice = "mail programs will ask about it; name real ones in tls.certificates",
        "certificate_self_signed"
    );
    let made = self_signed::make(&[&host, "localhost"])?;
    Tls::fixed(made.chain.as_bytes(), made.key.as_bytes(), &tls)
        .map(Some)
        .map_err(failure)
}

/// Who may log in.
fn authenticator(config: &Config) -> Result<auth::Service, Failure> {
    let database = Database::open(&config.auth.database)?;
    // what cannot tell its state cannot tell anything: better to say so now than to turn everybody away
    database.version()?;
    if let Err(error) = database.check() {
        tracing::error!(
            %error,
            "credential_store_damaged: accounts that cannot be read are refused as temporary failures"
        );
    }
    auth::Service::new(Arc::new(database), settings::auth(config))
        .map_err(|error| Failure::new(ExitStatus::Config, error))
}

/// What is remembered of mailboxes; without a place for that, all is served without.
fn index(config: &Config) -> Option<Arc<Databases>> {
    let directory = config.index_directory();
    match Databases::new(&directory) {
        Ok(databases) => Some(Arc::new(databases)),
        Err(error) => {
            tracing::error!(
                path = ?directory,
                %error,
                advice = "name a directory in index.directory that the server's user may write to",
                "index_missing"
            );
            None
        }
    }
}

/// What is served.
fn services(
    config: &Config,
    (imap, pop3): (imap::Settings, pop3::Settings),
    authenticator: &Arc<auth::Service>,
    store: &Arc<Store>,
) -> Services {
    let backend: Arc<dyn Backend> = Arc::<Store>::clone(store);
    let imap_services = {
        let backend = Arc::clone(&backend);
        let authenticator: Arc<dyn Authenticator> = Arc::<auth::Service>::clone(authenticator);
        move |host| imap::Services {
            backend: Arc::clone(&backend),
            authenticator: Arc::clone(&authenticator),
            host,
        }
    };
    let pop3_services = {
        let authenticator: Arc<dyn Authenticator> = Arc::<auth::Service>::clone(authenticator);
        let recent_logins = Arc::new(pop3::RecentLogins::default());
        move |host| pop3::Services {
            backend: Arc::clone(&backend),
            authenticator: Arc::clone(&authenticator),
            host,
            recent_logins: Arc::clone(&recent_logins),
        }
    };
    let (imap, pop3) = (Arc::new(imap), Arc::new(pop3));
    Services {
        volumes: Arc::new(Volumes::new(settings::storage(config))),
        imap: Arc::new(move |peer, host| {
            Box::new(imap::Session::new(
                Arc::clone(&imap),
                imap_services(host),
                peer,
            ))
        }),
        pop3: Arc::new(move |peer, host| {
            Box::new(pop3::Session::new(
                Arc::clone(&pop3),
                pop3_services(host),
                peer,
            ))
        }),
    }
}

/// Logs a bug with its place. A text that was put together at run time stays out, since it may hold somebody's mail.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let text = panic.payload().downcast_ref::<&'static str>();
    tracing::error!(
        place,
        text,
        thread = std::thread::current().name(),
        advice = "a bug in this server; please report it",
        "panicked"
    );
}
