//! A client that costs little: blocking sockets, no parsing beyond what is needed to find the end of an answer.

use super::any_certificate::AnyCertificate;
use super::stream::Stream;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::{self, ClientConfig};

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

/// One connection.
pub struct Client {
    stream: Stream,
    /// Finds the end of a POP3 answer of many lines.
    end: memchr::memmem::Finder<'static>,
    tag: u32,
}

impl Client {
    pub fn connect(port: u16, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(300)))?;
        let mut client = Self {
            stream: Stream::new(socket, tls)?,
            end: memchr::memmem::Finder::new(b"\r\n.\r\n"),
            tag: 0,
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
        self.stream.write(octets)
    }

    /// Where the next line ends: its length with the line feed.
    fn line_octets(&mut self) -> io::Result<usize> {
        let mut searched = 0;
        loop {
            let filled = self.stream.input.filled();
            if let Some(at) = memchr::memchr(b'\n', &filled[searched..]) {
                return Ok(searched + at + 1);
            }
            searched = filled.len();
            self.stream.fill()?;
        }
    }

    /// Reads one line and returns it without its end.
    pub fn line(&mut self) -> io::Result<String> {
        let octets = self.line_octets()?;
        let line = String::from_utf8_lossy(&self.stream.input.filled()[..octets])
            .trim_end()
            .to_owned();
        self.stream.input.consume(octets);
        Ok(line)
    }

    /// Throws octets away until a line begins with `mark`; returns that line and how many octets went before. Literals are skipped by their
    /// length, so that no message can look like an answer.
    fn skip_to(&mut self, mark: &[u8]) -> io::Result<(String, u64)> {
        let mut before = 0;
        loop {
            let octets = self.line_octets()?;
            let line = &self.stream.input.filled()[..octets];
            if line.starts_with(mark) {
                return Ok((self.line()?, before));
            }
            let literal = literal_octets(line);
            self.stream.input.consume(octets);
            before += octets as u64;
            if let Some(octets) = literal {
                self.stream.skip(octets)?;
                before += octets as u64;
            }
        }
    }

    /// Sends an IMAP command and skips to its end, which must be OK; returns how many octets the answer had.
    pub fn command(&mut self, text: &str) -> io::Result<u64> {
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

    /// Skips to the end of a command, which must be OK; returns how many octets went before.
    pub fn finish(&mut self, tag: &str) -> io::Result<u64> {
        let (line, octets) = self.skip_to(format!("{tag} ").as_bytes())?;
        if line[tag.len() + 1..].starts_with("OK") {
            Ok(octets)
        } else {
            Err(io::Error::other(line))
        }
    }

    /// Skips to a line that begins so.
    pub fn wait_for(&mut self, mark: &str) -> io::Result<String> {
        self.skip_to(mark.as_bytes()).map(|(line, _)| line)
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

    /// Skips the rest of a POP3 answer of many lines to its final dot; returns how many octets it had before that.
    pub fn pop3_lines(&mut self) -> io::Result<u64> {
        const END: &[u8] = b"\r\n.\r\n";
        // an empty answer is a dot right away
        while self.stream.input.filled().len() < 3 {
            self.stream.fill()?;
        }
        if self.stream.input.filled().starts_with(&END[2..]) {
            self.stream.input.consume(3);
            return Ok(0);
        }
        let mut octets = 0;
        loop {
            let filled = self.stream.input.filled();
            if let Some(at) = self.end.find(filled) {
                self.stream.input.consume(at + END.len());
                return Ok(octets + at as u64 + 2);
            }
            // the end may have begun
            let sure = filled.len().saturating_sub(END.len() - 1);
            octets += sure as u64;
            self.stream.input.consume(sure);
            self.stream.fill()?;
        }
    }

    /// Gives up memory between uses, for thousands of idle connections.
    pub fn shrink(&mut self) {
        self.stream.shrink();
    }
}

/// The octets announced at the end of a line, `{n}` before its end.
fn literal_octets(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}\r\n")?;
    let open = memchr::memrchr(b'{', inner)?;
    std::str::from_utf8(&inner[open + 1..]).ok()?.parse().ok()
}
