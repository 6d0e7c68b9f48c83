//! A client that costs little: blocking sockets, no parsing beyond what is needed to find the end of an answer.

use super::any_certificate::AnyCertificate;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, ClientConnection, StreamOwned};

/// Settings of all TLS connections; without resumption, so that every login pays for its handshake.
pub fn tls_config() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One connection.
pub struct Client {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    tag: u32,
    pub received: u64,
}

impl Client {
    pub fn connect(port: u16, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(120)))?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                let connection =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(connection, socket)))
            }
        };
        let mut client = Self {
            stream,
            buffer: vec![0; 4096],
            start: 0,
            end: 0,
            tag: 0,
            received: 0,
        };
        client.line()?;
        Ok(client)
    }

    /// Connects and logs in to IMAP.
    pub fn imap(port: u16, tls: Option<&Arc<ClientConfig>>, user: &str) -> io::Result<Self> {
        let mut client = Self::connect(port, tls)?;
        client.command(&format!("LOGIN {user} {}", super::PASSWORD))?;
        Ok(client)
    }

    /// Connects and logs in to POP3.
    pub fn pop3(port: u16, tls: Option<&Arc<ClientConfig>>, user: &str) -> io::Result<Self> {
        let mut client = Self::connect(port, tls)?;
        client.write(format!("USER {user}\r\n").as_bytes())?;
        client.pop3_ok()?;
        client.write(format!("PASS {}\r\n", super::PASSWORD).as_bytes())?;
        client.pop3_ok()?;
        Ok(client)
    }

    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let size = (self.buffer.len() * 2).max(65_536);
                self.buffer.resize(size, 0);
            }
        }
        let room = &mut self.buffer[self.end..];
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(room)?,
            Stream::Tls(stream) => stream.read(room)?,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += read;
        self.received += read as u64;
        Ok(())
    }

    /// Reads one line and returns it without its end.
    pub fn line(&mut self) -> io::Result<String> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.start + searched..self.end]) {
                let end = self.start + searched + at;
                let line = String::from_utf8_lossy(&self.buffer[self.start..end])
                    .trim_end()
                    .to_owned();
                self.start = end + 1;
                return Ok(line);
            }
            searched = self.end - self.start;
            self.fill()?;
        }
    }

    /// Throws octets away until a line begins with `mark`; returns that line. Literals are skipped by their length, so that no message
    /// can look like an answer.
    fn skip_to(&mut self, mark: &[u8]) -> io::Result<String> {
        loop {
            let mut searched = 0;
            let line_end = loop {
                if let Some(at) =
                    memchr::memchr(b'\n', &self.buffer[self.start + searched..self.end])
                {
                    break self.start + searched + at;
                }
                searched = self.end - self.start;
                self.fill()?;
            };
            let line = &self.buffer[self.start..line_end];
            if line.starts_with(mark) {
                let text = String::from_utf8_lossy(line).trim_end().to_owned();
                self.start = line_end + 1;
                return Ok(text);
            }
            let literal = literal_octets(line);
            self.start = line_end + 1;
            if let Some(octets) = literal {
                self.skip(octets)?;
            }
        }
    }

    fn skip(&mut self, mut octets: usize) -> io::Result<()> {
        loop {
            let here = octets.min(self.end - self.start);
            self.start += here;
            octets -= here;
            if octets == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Sends an IMAP command and skips to its end, which must be OK.
    pub fn command(&mut self, text: &str) -> io::Result<String> {
        let tag = self.send(text)?;
        self.finish(&tag)
    }

    /// Sends an IMAP command; returns its tag.
    pub fn send(&mut self, text: &str) -> io::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.write(format!("{tag} {text}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Skips to the end of a command, which must be OK.
    pub fn finish(&mut self, tag: &str) -> io::Result<String> {
        let line = self.skip_to(format!("{tag} ").as_bytes())?;
        if line[tag.len() + 1..].starts_with("OK") {
            Ok(line)
        } else {
            Err(io::Error::other(line))
        }
    }

    /// Skips to a line that begins so.
    pub fn wait_for(&mut self, mark: &str) -> io::Result<String> {
        self.skip_to(mark.as_bytes())
    }

    /// One line of POP3, which must be +OK.
    pub fn pop3_ok(&mut self) -> io::Result<String> {
        let line = self.line()?;
        if line.starts_with("+OK") {
            Ok(line)
        } else {
            Err(io::Error::other(line))
        }
    }

    /// The rest of a POP3 answer of many lines, counted, to the final dot.
    pub fn pop3_lines(&mut self) -> io::Result<u64> {
        let mut lines = 0;
        loop {
            let mut searched = 0;
            let end = loop {
                if let Some(at) =
                    memchr::memchr(b'\n', &self.buffer[self.start + searched..self.end])
                {
                    break self.start + searched + at;
                }
                searched = self.end - self.start;
                self.fill()?;
            };
            let last = &self.buffer[self.start..=end] == b".\r\n";
            self.start = end + 1;
            if last {
                return Ok(lines);
            }
            lines += 1;
        }
    }

    /// Gives up memory between uses, for thousands of idle connections.
    pub fn shrink(&mut self) {
        if self.start == self.end {
            self.buffer = vec![0; 256];
            (self.start, self.end) = (0, 0);
        }
    }
}

/// The octets announced at the end of a line, `{n}` before CR.
fn literal_octets(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"\r")?.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    std::str::from_utf8(&inner[open + 1..]).ok()?.parse().ok()
}
