//! The octets of a message: as given, on their way in, and to be read.

use super::Conditions;
use crate::mailbox::backend::{Message, Result, Upload};
use crate::mailbox::flag::NamedFlags;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A message as it is put into a mailbox.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// Its octets, with any line ends.
    pub octets: Vec<u8>,
    /// Flags and keywords.
    pub flags: NamedFlags,
    /// INTERNALDATE in seconds since 1970; the clock's time if none.
    pub internal_date: Option<i64>,
    /// What names its octets where they were before.
    pub(super) guid: Option<Vec<u8>>,
}

impl Mail {
    /// A message without flags, of now.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self {
            octets: octets.into(),
            ..Self::default()
        }
    }

    /// With flags.
    #[must_use]
    pub fn flagged(mut self, flags: NamedFlags) -> Self {
        self.flags = flags;
        self
    }

    /// With an INTERNALDATE, in seconds since 1970.
    #[must_use]
    pub const fn dated(mut self, internal_date: i64) -> Self {
        self.internal_date = Some(internal_date);
        self
    }
}

/// Octets when they are sent with CRLF: each LF without CR before it counts twice.
pub(super) fn wire_octets(octets: &[u8]) -> u64 {
    let mut previous = 0;
    let mut bare = 0;
    for octet in octets {
        bare += u64::from(*octet == b'\n' && previous != b'\r');
        previous = *octet;
    }
    octets.len() as u64 + bare
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct MemoryUpload {
    pub(super) mail: Mail,
    pub(super) conditions: Arc<Conditions>,
}

impl Upload for MemoryUpload {
    fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.conditions.enter()?;
        self.mail.octets.extend_from_slice(octets);
        Ok(())
    }

    fn finish(&mut self, flags: &NamedFlags, internal_date: Option<i64>) -> Result<()> {
        self.conditions.enter()?;
        self.mail.flags = flags.clone();
        self.mail.internal_date = internal_date;
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A message opened to be read.
#[derive(Debug)]
pub(super) struct MemoryMessage {
    pub(super) octets: Arc<[u8]>,
    pub(super) conditions: Arc<Conditions>,
}

impl Message for MemoryMessage {
    fn stored_octets(&self) -> u64 {
        self.octets.len() as u64
    }

    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        self.conditions.enter()?;
        let most = self.conditions.read_octets.load(Ordering::Relaxed);
        let rest = usize::try_from(position)
            .ok()
            .and_then(|position| self.octets.get(position..))
            .unwrap_or_default();
        let mut read = 0;
        for (to, from) in buffer.iter_mut().zip(rest).take(most) {
            *to = *from;
            read += 1;
        }
        Ok(read)
    }
}
