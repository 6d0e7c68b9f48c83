//! A client that blocks, plain or with TLS, compressed or not, and never longer than [`SOON`].

use super::SOON;
use super::any_certificate::AnyCertificate;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion, version,
};

/// A connection to the server.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    buffer: Vec<u8>,
    deflate: Option<(Compress, Decompress)>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

pub const TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];
pub const TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// A client's TLS settings; sessions are resumed among the connections that share them. Takes any certificate.
pub fn tls(versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

impl Client {
    pub fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        Self {
            stream: Stream::Plain(stream),
            buffer: Vec::new(),
            deflate: None,
        }
    }

    pub fn tls(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> std::io::Result<Self> {
        Self::plain(address).start_tls(config, name)
    }

    pub fn start_tls(self, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Self> {
        let Stream::Plain(mut tcp) = self.stream else {
            panic!("TLS is up");
        };
        assert_eq!(self.buffer, b"", "octets before TLS");
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        Ok(Self {
            stream: Stream::Tls(Box::new(StreamOwned::new(connection, tcp))),
            buffer: Vec::new(),
            deflate: None,
        })
    }

    /// The client's side of TLS.
    pub fn connection(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Plain(_) => panic!("no TLS"),
            Stream::Tls(tls) => &tls.conn,
        }
    }

    /// The server's certificate.
    pub fn certificate(&self) -> Vec<u8> {
        self.connection().peer_certificates().unwrap()[0].to_vec()
    }

    pub fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Compresses from now on.
    pub fn compress(&mut self) {
        assert_eq!(self.buffer, b"", "octets before compression");
        self.deflate = Some((
            Compress::new(Compression::best(), false),
            Decompress::new(false),
        ));
    }

    pub fn send(&mut self, text: &str) {
        let wire = self.packed(text, FlushCompress::Sync);
        self.send_octets(&wire);
    }

    /// True until the server's last compressed octet.
    pub fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// What goes over the wire for this text.
    pub fn packed(&mut self, text: &str, flush: FlushCompress) -> Vec<u8> {
        let Some((compress, _)) = &mut self.deflate else {
            return text.as_bytes().to_vec();
        };
        let mut wire = Vec::with_capacity(text.len() + 1024);
        compress
            .compress_vec(text.as_bytes(), &mut wire, flush)
            .unwrap();
        assert!(wire.len() < wire.capacity(), "not all of it");
        wire
    }

    /// Sends octets as they are.
    pub fn send_octets(&mut self, octets: &[u8]) {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(octets).unwrap(),
            Stream::Tls(tls) => {
                tls.write_all(octets).unwrap();
                tls.flush().unwrap();
            }
        }
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            assert!(self.fill() > 0, "the server closed after {:?}", self.buffer);
        }
    }

    /// Sends a line and reads one.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n"));
        self.line()
    }

    /// Reads so many octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill() > 0, "the server closed");
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything up to the end of the connection, orderly or not.
    pub fn rest(mut self) -> String {
        while self.fill() > 0 {}
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Reads to the end of a connection with TLS; true if the server took leave of it (close_notify), so that nobody can have cut it off.
    pub fn ends_with_farewell(self) -> bool {
        let Stream::Tls(mut tls) = self.stream else {
            panic!("no TLS");
        };
        tls.read_to_end(&mut Vec::new()).is_ok()
    }

    /// Reads more; 0 at the end.
    fn fill(&mut self) -> usize {
        let mut space = [0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(&mut space),
            Stream::Tls(tls) => tls.read(&mut space),
        };
        let count = match read {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                ) =>
            {
                0
            }
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.buffer)),
        };
        self.unpack(&space[..count]);
        count
    }

    /// Takes what came over the wire.
    fn unpack(&mut self, mut wire: &[u8]) {
        let Some((_, inflater)) = &mut self.deflate else {
            return self.buffer.extend_from_slice(wire);
        };
        while !wire.is_empty() {
            self.buffer.reserve(256 * 1024);
            let before = inflater.total_in();
            let status = inflater
                .decompress_vec(wire, &mut self.buffer, FlushDecompress::None)
                .unwrap();
            wire = &wire[usize::try_from(inflater.total_in() - before).unwrap()..];
            if status == Status::StreamEnd {
                self.deflate = None;
                return self.buffer.extend_from_slice(wire);
            }
        }
        // the inflater may have had no room for all of it
        let mut room = 0;
        while self.buffer.len() > room {
            room = self.buffer.len();
            self.buffer.reserve(256 * 1024);
            inflater
                .decompress_vec(&[], &mut self.buffer, FlushDecompress::None)
                .unwrap();
        }
    }
}
