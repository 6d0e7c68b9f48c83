//! The two servers, each started on a directory of its own with the same users, password hash and certificate.

use super::PASSWORD;
use super::options::Options;
use super::process;
use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The user that owns the mail; Dovecot refuses root.
pub const MAIL_UID: u32 = 5000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    Restante,
    Dovecot,
    /// Another one, which runs already.
    Other,
}

/// A server that somebody else has started, with users and password as ours.
#[derive(Debug, Clone)]
pub struct Running {
    pub ports: Ports,
    /// Where the Maildirs of users lie, each by the user's name.
    pub spool: PathBuf,
    /// Its first process, if its CPU time and memory are to be told.
    pub pid: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub imap: u16,
    pub imaps: u16,
    pub pop3: u16,
    pub pop3s: u16,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub which: Which,
    /// The directory of this benchmark, where generated mail lies too.
    pub root: PathBuf,
    /// Its own part of that.
    pub base: PathBuf,
    spool: PathBuf,
    /// Where mail goes that is of no use any more, until all rows have run; none: it is removed at once.
    past: Option<PathBuf>,
    pub ports: Ports,
    /// The binary of restante.
    restante: PathBuf,
    process: Option<Child>,
    /// The first process of one that ran before.
    pid: Option<u32>,
}

impl Server {
    /// Lays out a directory for a server with `users` users (`u0`, `u1`, …) and starts it.
    pub fn new(which: Which, options: &Options, root: &Path, users: usize) -> io::Result<Self> {
        let base = root.join(format!("{which:?}").to_lowercase());
        fs::create_dir_all(base.join("spool"))?;
        // making a file on ext4 costs more the more were removed lately: what this benchmark removes shall not count. In memory room is dear
        let past = (root == options.root).then(|| base.join("past"));
        if let Some(past) = &past {
            fs::create_dir_all(past)?;
        }
        for directory in [&base, &base.join("spool")] {
            super::spool::own(directory, MAIL_UID)?;
        }
        certificate(&base)?;
        let port = || Ok::<_, io::Error>(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let ports = Ports {
            imap: port()?,
            imaps: port()?,
            pop3: port()?,
            pop3s: port()?,
        };
        let mut server = Self {
            which,
            root: root.to_owned(),
            spool: base.join("spool"),
            past,
            base,
            ports,
            restante: options.restante.clone(),
            process: None,
            pid: None,
        };
        match which {
            Which::Restante => server.lay_out_restante(users)?,
            Which::Dovecot => server.lay_out_dovecot(users)?,
            Which::Other => {}
        }
        server.start()?;
        Ok(server)
    }

    /// One that runs already; it is never started anew.
    pub fn running(running: &Running, options: &Options) -> Self {
        Self {
            which: Which::Other,
            root: options.root.clone(),
            base: options.root.join("other"),
            spool: running.spool.clone(),
            past: None,
            ports: running.ports,
            restante: PathBuf::new(),
            process: None,
            pid: running.pid,
        }
    }

    pub fn maildir(&self, user: &str) -> PathBuf {
        self.spool.join(user)
    }

    /// Takes a user's mail away, and everything the server remembers of it.
    pub fn clear(&self, user: &str) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        for directory in [self.maildir(user), self.base.join("index").join(user)] {
            let outcome = match &self.past {
                Some(past) => {
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    fs::rename(&directory, past.join(number.to_string()))
                }
                None => fs::remove_dir_all(&directory),
            };
            match outcome {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn lay_out_restante(&self, users: usize) -> io::Result<()> {
        let base = self.base.display();
        let mut text = format!(
            "[storage]\nspool = \"{base}/spool/%{{user}}\"\n[auth]\ndatabase = \"{base}/credentials.sqlite\"\nallow_plaintext = true\n\
             argon2_memory = \"1 MiB\"\nargon2_iterations = 1\n[limits]\nconnections = 30000\nconnections_per_account = 30000\n\
             connections_before_login_per_address = 30000\n[log]\nlevel = \"warn\"\n\
             [[tls.certificates]]\ncertificate = \"{base}/cert.pem\"\nkey = \"{base}/key.pem\"\n"
        );
        let Ports {
            imap,
            imaps,
            pop3,
            pop3s,
        } = self.ports;
        for (port, protocol, tls) in [
            (imap, "imap", "none"),
            (imaps, "imap", "implicit"),
            (pop3, "pop3", "none"),
            (pop3s, "pop3", "implicit"),
        ] {
            text.push_str(&format!("[[listeners]]\naddress = \"127.0.0.1:{port}\"\nprotocol = \"{protocol}\"\ntls = \"{tls}\"\n"));
        }
        let config = self.base.join("restante.toml");
        fs::write(&config, text)?;
        for user in 0..users {
            let mut add = Command::new(&self.restante)
                .args(["user", "add", &format!("u{user}"), "--stdin", "--config"])
                .arg(&config)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()?;
            writeln!(add.stdin.take().unwrap(), "{PASSWORD}")?;
            if !add.wait()?.success() {
                return Err(io::Error::other("restante user add failed"));
            }
        }
        Ok(())
    }

    /// Tuned as its documentation advises for throughput: login processes serve many clients, mail processes are reused, the success of a
    /// password is cached, no limit is in the way.
    fn lay_out_dovecot(&self, users: usize) -> io::Result<()> {
        let base = self.base.display();
        let Ports {
            imap,
            imaps,
            pop3,
            pop3s,
        } = self.ports;
        fs::create_dir_all(self.base.join("run"))?;
        let text = format!(
            "protocols = imap pop3\nbase_dir = {base}/run\nstate_dir = {base}/run\nlog_path = {base}/log\nlisten = 127.0.0.1\n\
             mail_location = maildir:{base}/spool/%u\nmail_uid = {MAIL_UID}\nmail_gid = {MAIL_UID}\nfirst_valid_uid = 1\n\
             disable_plaintext_auth = no\nssl = yes\nssl_cert = <{base}/cert.pem\nssl_key = <{base}/key.pem\n\
             auth_cache_size = 100M\nauth_cache_ttl = 1 hour\nauth_worker_max_count = 2\nmail_max_userip_connections = 30000\n\
             mail_fsync = optimized\nverbose_proctitle = no\n\
             passdb {{\n driver = passwd-file\n args = {base}/users\n}}\nuserdb {{\n driver = static\n args = uid={MAIL_UID} gid={MAIL_UID} home={base}/spool/%u\n}}\n\
             service imap-login {{\n service_count = 0\n process_min_avail = 2\n process_limit = 4\n client_limit = 20000\n\
               inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n\
             service pop3-login {{\n service_count = 0\n process_min_avail = 2\n process_limit = 4\n client_limit = 20000\n\
               inet_listener pop3 {{\n port = {pop3}\n }}\n inet_listener pop3s {{\n port = {pop3s}\n ssl = yes\n }}\n}}\n\
             service imap {{\n service_count = 0\n process_min_avail = 4\n process_limit = 12000\n client_limit = 1\n}}\n\
             service pop3 {{\n service_count = 0\n process_min_avail = 4\n process_limit = 12000\n}}\n\
             service auth {{\n client_limit = 40000\n}}\nservice anvil {{\n client_limit = 40000\n}}\ndefault_process_limit = 12000\ndefault_client_limit = 40000\ndefault_vsz_limit = 0\n"
        );
        fs::write(self.base.join("dovecot.conf"), text)?;
        // its cache keeps hashes and computes them again at each login: with none to compute, both compare what is cached
        let lines: String = (0..users)
            .map(|user| format!("u{user}:{{PLAIN}}{PASSWORD}\n"))
            .collect();
        fs::write(self.base.join("users"), lines)
    }

    pub fn start(&mut self) -> io::Result<()> {
        let mut command = match self.which {
            Which::Restante => {
                let mut command = Command::new(&self.restante);
                command
                    .arg("serve")
                    .arg("--config")
                    .arg(self.base.join("restante.toml"));
                command
            }
            Which::Dovecot => {
                let mut command = Command::new("dovecot");
                command
                    .arg("-F")
                    .arg("-c")
                    .arg(self.base.join("dovecot.conf"));
                command
            }
            Which::Other => return Ok(()),
        };
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.base.join("output"))?;
        self.process = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        let deadline = Instant::now() + Duration::from_secs(20);
        for port in [
            self.ports.imap,
            self.ports.imaps,
            self.ports.pop3,
            self.ports.pop3s,
        ] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if Instant::now() > deadline {
                    return Err(io::Error::other(format!(
                        "{:?} does not listen; see {}",
                        self.which,
                        self.base.display()
                    )));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Ends the server and all its processes.
    pub fn stop(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            let pid = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
            process.wait()?;
        }
        Ok(())
    }

    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.start()
    }

    /// CPU seconds used so far, by all processes, ended ones included.
    pub fn cpu_secs(&self) -> f64 {
        process::cpu_secs(&self.pids())
    }

    /// Proportional share of memory, in KiB, over all processes.
    pub fn pss_kib(&self) -> u64 {
        process::pss_kib(&self.pids())
    }

    fn pids(&self) -> Vec<u32> {
        let first = self.process.as_ref().map(Child::id).or(self.pid);
        first.map_or_else(Vec::new, process::tree)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{:?} could not be stopped: {error}", self.which);
        }
    }
}

fn certificate(base: &Path) -> io::Result<()> {
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let parameters =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
    let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
    fs::write(base.join("cert.pem"), certificate.pem())?;
    fs::write(base.join("key.pem"), key.serialize_pem())
}
