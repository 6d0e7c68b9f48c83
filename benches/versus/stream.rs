//! Octets of one connection, read by few calls and copied once at most, so that the load generator is never what a row measures.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::UnbufferedClientConnection;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus,
};

/// What a buffer begins with: enough for a login.
const SMALL: usize = 8 * 1024;
/// What it grows to while every read fills it.
const LARGE: usize = 512 * 1024;
/// From so many octets on, a call for them alone is cheaper than copying them.
const WORTH_A_CALL: usize = 64 * 1024;

/// Octets between `start` and `end`; behind them, room for more.
#[derive(Default)]
pub struct Buffer {
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub fn filled(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    pub fn consume(&mut self, octets: usize) {
        self.start += octets;
    }

    fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.octets[self.start..self.end]
    }

    /// Room for at least so many octets, all there is.
    fn room(&mut self, least: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.octets.len() - self.end < least && self.start > 0 {
            self.octets.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.octets.len() - self.end < least {
            self.octets
                .resize((self.end + least).next_power_of_two().max(SMALL), 0);
        }
        &mut self.octets[self.end..]
    }

    fn push(&mut self, octets: &[u8]) {
        self.room(octets.len())[..octets.len()].copy_from_slice(octets);
        self.end += octets.len();
    }

    /// One read; nothing read is an error.
    fn read(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        let room = self.room(1);
        let (size, read) = (room.len(), socket.read(room)?);
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += read;
        if read == size && self.octets.len() < LARGE {
            let larger = self.octets.len() * 4;
            self.octets.resize(larger.min(LARGE), 0);
        }
        Ok(read)
    }
}

/// A connection and what it has received.
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    /// What has arrived, decrypted.
    pub input: Buffer,
}

struct Tls {
    connection: UnbufferedClientConnection,
    /// Records, decrypted where they lie.
    records: Buffer,
    outgoing: Vec<u8>,
    closed: bool,
}

impl Stream {
    pub fn new(socket: TcpStream, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                let connection = UnbufferedClientConnection::new(Arc::clone(config), name)
                    .map_err(io::Error::other)?;
                Some(Box::new(Tls {
                    connection,
                    records: Buffer::default(),
                    outgoing: Vec::new(),
                    closed: false,
                }))
            }
        };
        Ok(Self {
            socket,
            tls,
            input: Buffer::default(),
        })
    }

    /// Waits until more has arrived.
    pub fn fill(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.input.read(&self.socket).map(drop),
            Some(tls) => tls.fill(&self.socket, &mut |octets| self.input.push(octets)),
        }
    }

    /// Throws so many octets away; large amounts are not even copied.
    pub fn skip(&mut self, octets: usize) -> io::Result<()> {
        let here = octets.min(self.input.filled().len());
        self.input.consume(here);
        let mut left = octets - here;
        while left > 0 {
            match &mut self.tls {
                None if left >= WORTH_A_CALL => {
                    let room = self.input.room(SMALL);
                    let most = left.min(room.len());
                    let (_, read) = rustix::net::recv(
                        &self.socket,
                        &mut room[..most],
                        rustix::net::RecvFlags::TRUNC,
                    )?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    left -= read;
                }
                None => {
                    self.input.read(&self.socket)?;
                    let here = left.min(self.input.filled().len());
                    self.input.consume(here);
                    left -= here;
                }
                Some(tls) => tls.fill(&self.socket, &mut |octets| {
                    let here = left.min(octets.len());
                    left -= here;
                    self.input.push(&octets[here..]);
                })?,
            }
        }
        Ok(())
    }

    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => (&self.socket).write_all(octets),
            Some(tls) => tls.write(&self.socket, octets, &mut |octets| self.input.push(octets)),
        }
    }

    /// Gives buffers back between uses, for thousands of idle connections.
    pub fn shrink(&mut self) {
        if self.input.filled().is_empty() {
            self.input = Buffer::default();
        }
        if let Some(tls) = &mut self.tls {
            tls.outgoing = Vec::new();
            if tls.records.filled().is_empty() {
                tls.records = Buffer::default();
            }
        }
    }
}

impl Tls {
    /// Works through the records that are here; answers whether something may be written.
    fn work(&mut self, socket: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        loop {
            let UnbufferedStatus {
                mut discard, state, ..
            } = self
                .connection
                .process_tls_records(self.records.filled_mut());
            let finished = match state.map_err(io::Error::other)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        take(record.payload);
                    }
                    None
                }
                ConnectionState::EncodeTlsData(data) => {
                    encode(data, &mut self.outgoing)?;
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    (&*socket).write_all(&self.outgoing)?;
                    self.outgoing.clear();
                    data.done();
                    None
                }
                ConnectionState::BlockedHandshake => Some(false),
                ConnectionState::WriteTraffic(_) => Some(true),
                _ => {
                    self.closed = true;
                    Some(false)
                }
            };
            self.records.consume(discard);
            if let Some(may_write) = finished {
                return Ok(may_write);
            }
        }
    }

    /// Reads until payload has arrived.
    fn fill(&mut self, socket: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut taken = false;
        loop {
            self.work(socket, &mut |octets| {
                taken |= !octets.is_empty();
                take(octets);
            })?;
            if taken {
                return Ok(());
            }
            self.more(socket)?;
        }
    }

    fn more(&mut self, socket: &TcpStream) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.records.read(socket).map(drop)
    }

    fn write(
        &mut self,
        socket: &TcpStream,
        octets: &[u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        while !self.work(socket, take)? {
            self.more(socket)?;
        }
        // a record has at most 16 KiB and costs less than 64 octets
        let mut encrypted = vec![0; octets.len() + (octets.len() / 16_384 + 1) * 64];
        let state = self
            .connection
            .process_tls_records(self.records.filled_mut())
            .state;
        let ConnectionState::WriteTraffic(mut traffic) = state.map_err(io::Error::other)? else {
            return Err(io::Error::other("TLS cannot write"));
        };
        let length = traffic
            .encrypt(octets, &mut encrypted)
            .map_err(io::Error::other)?;
        (&*socket).write_all(&encrypted[..length])
    }
}

/// Adds a record of the handshake to what goes out.
fn encode(mut data: EncodeTlsData<'_, impl Sized>, outgoing: &mut Vec<u8>) -> io::Result<()> {
    let used = outgoing.len();
    let required = match data.encode(&mut []) {
        Ok(_) => return Ok(()),
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Err(error) => return Err(io::Error::other(error)),
    };
    outgoing.resize(used + required, 0);
    let written = data
        .encode(&mut outgoing[used..])
        .map_err(io::Error::other)?;
    outgoing.truncate(used + written);
    Ok(())
}
