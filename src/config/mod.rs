//! Settings as plain data: types, defaults, reading, checking.
//!
//! [`Config`] mirrors the file: a section each, every key with a default, so that an empty file serves. Other layers never see it;
//! the command line makes their small settings of it. `conf/restante.toml` documents each key.

mod check;
pub mod load;
pub mod value;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use value::{Interval, Octets};

/// Where the file is looked for when no other is named.
pub const DEFAULT_PATH: &str = "/etc/restante/restante.toml";

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients connect; none given means [`Listener::defaults`].
    pub listeners: Vec<Listener>,
    /// Certificates.
    pub tls: Tls,
    /// Where the mail lies.
    pub storage: Storage,
    /// What is remembered of mailboxes.
    pub index: Index,
    /// Who may log in.
    pub auth: Auth,
    /// How much is borne.
    pub limits: Limits,
    /// IMAP.
    pub imap: Imap,
    /// POP3.
    pub pop3: Pop3,
    /// Log lines.
    pub log: Log,
    /// The process.
    pub process: Process,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP4rev1 and rev2
    Imap,
    /// POP3
    Pop3,
}

/// How a listener's connections come to be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// From the first octet (RFC 8314).
    Implicit,
    /// By command: STARTTLS, STLS.
    Starttls,
    /// Not at all.
    None,
}

/// One place where clients connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `address:port`; `[::]:993` is all of IPv6, and of IPv4 as well.
    #[serde(default)]
    pub address: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// How it is encrypted.
    pub tls: TlsMode,
    /// The name of a socket that systemd passes, instead of an address.
    #[serde(default)]
    pub systemd: String,
}

impl Listener {
    /// The four standard ports, encrypted from the start or by command.
    pub fn defaults() -> Vec<Self> {
        let listener = |port: u16, protocol, tls| Self {
            address: format!("[::]:{port}"),
            protocol,
            tls,
            systemd: String::new(),
        };
        vec![
            listener(993, Protocol::Imap, TlsMode::Implicit),
            listener(143, Protocol::Imap, TlsMode::Starttls),
            listener(995, Protocol::Pop3, TlsMode::Implicit),
            listener(110, Protocol::Pop3, TlsMode::Starttls),
        ]
    }
}

/// Certificates and TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The first is for clients that name no host; none means a self-signed one, made at each start.
    pub certificates: Vec<Certificate>,
    /// `1.2` or `1.3`.
    pub minimum_version: String,
    /// How often the files are looked at for a renewed certificate.
    pub check_interval: Interval,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            minimum_version: "1.2".to_owned(),
            check_interval: Interval::from_secs(10),
        }
    }
}

/// A certificate chain and its key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, the host's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How mailboxes lie below the INBOX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// `.Sent.2026`
    #[serde(rename = "maildir++")]
    MaildirPlusPlus,
    /// `Sent/2026`
    #[serde(rename = "fs")]
    Fs,
}

/// Where the mail lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The Maildir of an account: `%{user}`, `%{local}` and `%{domain}` stand for the name and its parts.
    pub spool: String,
    /// How mailboxes lie below it.
    pub layout: Layout,
    /// Between the levels of a name as clients see it, one character; empty: `.` for Maildir++, `/` for fs.
    pub separator: String,
    /// Make a Maildir that is missing when its account logs in.
    pub create_spool: bool,
    /// Make Sent, Drafts, Junk, Trash and Archive for a new account, mark their use and subscribe to them.
    pub special_mailboxes: bool,
    /// Longest wait for a lock that another program holds on a mailbox's files.
    pub lock_timeout: Interval,
    /// Have the system tell of deliveries while a client waits for them.
    pub watch: bool,
    /// How often a mailbox with an idling client is looked at where the system does not tell.
    pub poll_interval: Interval,
    /// Threads of one volume: how many of its disk operations run at once.
    pub volume_threads: usize,
    /// Operations that may wait for a thread of one volume.
    pub volume_queue: usize,
    /// Time after which an operation counts as hung and its client gets an answer all the same.
    pub volume_deadline: Interval,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            spool: "/var/mail/%{domain}/%{local}/Maildir".to_owned(),
            layout: Layout::MaildirPlusPlus,
            separator: String::new(),
            create_spool: true,
            special_mailboxes: true,
            lock_timeout: Interval::from_secs(20),
            watch: true,
            poll_interval: Interval::from_secs(15),
            volume_threads: 16,
            volume_queue: 4096,
            volume_deadline: Interval::from_secs(30),
        }
    }
}

impl Storage {
    /// The separator, the layout's own where none is set.
    pub fn separator(&self) -> char {
        let own = match self.layout {
            Layout::MaildirPlusPlus => '.',
            Layout::Fs => '/',
        };
        self.separator.chars().next().unwrap_or(own)
    }
}

/// What is remembered of mailboxes and may be lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Index {
    /// Where it lies; empty: in `index` beside the credential database.
    pub directory: PathBuf,
}

impl Config {
    /// Where the index lies.
    pub fn index_directory(&self) -> PathBuf {
        if self.index.directory.as_os_str().is_empty() {
            self.auth.database.with_file_name("index")
        } else {
            self.index.directory.clone()
        }
    }
}

/// Who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The credential database.
    pub database: PathBuf,
    /// Take passwords on connections that are not encrypted.
    pub allow_plaintext: bool,
    /// Memory of one Argon2id hash (RFC 9106).
    pub argon2_memory: Octets,
    /// Its passes.
    pub argon2_iterations: u32,
    /// Its lanes.
    pub argon2_parallelism: u32,
    /// Hashing threads.
    pub hashing_threads: usize,
    /// Logins that may wait for one.
    pub hashing_queue: usize,
    /// Longest time for a decision.
    pub deadline: Interval,
    /// How long a success is remembered.
    pub cache: Interval,
    /// Wait after the first failure; doubles with each further one.
    pub first_delay: Interval,
    /// Longest wait that one more failure adds.
    pub max_delay: Interval,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            database: PathBuf::from("/var/lib/restante/credentials.sqlite"),
            allow_plaintext: false,
            argon2_memory: Octets(64 << 20),
            argon2_iterations: 3,
            argon2_parallelism: 1,
            hashing_threads: 2,
            hashing_queue: 256,
            deadline: Interval::from_secs(20),
            cache: Interval::from_secs(300),
            first_delay: Interval::from_secs(1),
            max_delay: Interval::from_secs(15),
        }
    }
}

/// How much is borne.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one account; one more displaces its longest silent one.
    pub connections_per_account: usize,
    /// Connections of one address (IPv6: /64) that have not logged in.
    pub connections_before_login_per_address: usize,
    /// Time for a TLS handshake.
    pub handshake: Interval,
    /// From connecting to being logged in.
    pub before_login: Interval,
    /// Silence of an IMAP client; RFC 9051 §5.4 asks for 30 minutes at least.
    pub imap_idle: Interval,
    /// Silence of a POP3 client; RFC 1939 §3 asks for 10 minutes at least.
    pub pop3_idle: Interval,
    /// Silence in the middle of a command.
    pub command: Interval,
    /// Time in which a client must take some octets of what is sent to it.
    pub write: Interval,
    /// Time for commands in progress when the server stops.
    pub shutdown: Interval,
    /// Silence after which TCP asks a client's machine whether it is still there.
    pub keepalive: Interval,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_account: 50,
            connections_before_login_per_address: 100,
            handshake: Interval::from_secs(30),
            before_login: Interval::from_secs(180),
            imap_idle: Interval::from_secs(31 * 60),
            pop3_idle: Interval::from_secs(10 * 60),
            command: Interval::from_secs(5 * 60),
            write: Interval::from_secs(5 * 60),
            shutdown: Interval::from_secs(20),
            keepalive: Interval::from_secs(5 * 60),
        }
    }
}

/// IMAP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imap {
    /// Offer IMAP4rev2 beside IMAP4rev1.
    pub rev2: bool,
    /// `INBOX.Sent` also names the mailbox `Sent`.
    pub inbox_alias: bool,
    /// Announce LITERAL- instead of LITERAL+.
    pub literal_minus: bool,
    /// Capabilities that are not announced, as they would be, such as `AUTH=LOGIN`.
    pub disabled_capabilities: Vec<String>,
    /// Largest message that APPEND takes.
    pub append_limit: Octets,
    /// Most messages of one APPEND.
    pub append_messages: usize,
    /// Most messages that one command may process; 0: any number.
    pub message_limit: u32,
    /// Most messages that one COPY or APPEND may take; 0: any number.
    pub save_limit: u32,
    /// Silence of the server in IDLE; 0 s: for ever.
    pub idle_keep_alive: Interval,
    /// Bad commands in a row before the connection is closed.
    pub bad_commands: u32,
    /// The same before login.
    pub bad_commands_before_login: u32,
    /// Refused logins of one connection before it is closed.
    pub failed_logins: u32,
    /// One command line.
    pub line: Octets,
    /// One literal other than a message.
    pub literal: Octets,
    /// One command.
    pub command: Octets,
    /// One command line before login.
    pub line_before_login: Octets,
    /// One literal before login.
    pub literal_before_login: Octets,
    /// One command before login.
    pub command_before_login: Octets,
}

impl Default for Imap {
    fn default() -> Self {
        Self {
            rev2: true,
            inbox_alias: true,
            literal_minus: false,
            disabled_capabilities: Vec::new(),
            append_limit: Octets(256 << 20),
            append_messages: 256,
            message_limit: 0,
            save_limit: 0,
            idle_keep_alive: Interval::from_secs(29 * 60),
            bad_commands: 20,
            bad_commands_before_login: 5,
            failed_logins: 5,
            line: Octets(64 << 10),
            literal: Octets(64 << 10),
            command: Octets(256 << 10),
            line_before_login: Octets(8 << 10),
            literal_before_login: Octets(4 << 10),
            command_before_login: Octets(16 << 10),
        }
    }
}

/// POP3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pop3 {
    /// One session at a time has a maildrop.
    pub exclusive: bool,
    /// How long a login waits for another session to give the maildrop back.
    pub lock_patience: Interval,
    /// RETR sets `\Seen`.
    pub mark_seen: bool,
    /// How unique-ids are made.
    pub unique_ids: String,
    /// Time between two logins, announced and enforced.
    pub login_delay: Interval,
    /// Days after which mail is removed by something else, announced as EXPIRE; 0: NEVER.
    pub expire_days: u32,
    /// What `LANG *` chooses: `en` or `de`.
    pub language: String,
    /// RETR of a message with 8-bit header fields needs UTF8.
    pub refuse_utf8_headers: bool,
    /// Capabilities that are not announced.
    pub disabled_capabilities: Vec<String>,
    /// Bad commands in a row before the connection is closed.
    pub bad_commands: u32,
    /// The same before login.
    pub bad_commands_before_login: u32,
    /// Refused logins of one connection before it is closed.
    pub failed_logins: u32,
}

impl Default for Pop3 {
    fn default() -> Self {
        Self {
            exclusive: true,
            lock_patience: Interval::from_secs(10),
            mark_seen: false,
            unique_ids: "dovecot".to_owned(),
            login_delay: Interval::from_secs(0),
            expire_days: 0,
            language: "en".to_owned(),
            refuse_utf8_headers: false,
            disabled_capabilities: Vec::new(),
            bad_commands: 20,
            bad_commands_before_login: 5,
            failed_logins: 5,
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object each line.
    Json,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Their form.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, also by module: `info,restante::store=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".to_owned(),
        }
    }
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Whom to become after binding, when started as root: a name or a number; empty: stay.
    pub user: String,
    /// Which group; empty: the user's own.
    pub group: String,
}
