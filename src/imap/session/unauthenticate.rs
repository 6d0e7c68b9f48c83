//! UNAUTHENTICATE (RFC 8437): the connection is as it was before login, for another user.

use super::activity::Activity;
use super::reply::{CommandError, Completed, tagged};
use super::table::Row;
use super::{Session, State};
use crate::imap::encode;
use crate::imap::flow::Flow;
use crate::imap::types::core::Tag;
use crate::imap::types::response::Code;
use std::sync::Arc;

impl Session {
    /// UNAUTHENTICATE. There is no NO to it (§3), and no EXPUNGE before its OK.
    pub(super) fn unauthenticate(&mut self, tag: Tag, row: &'static Row, out: &mut Vec<u8>) {
        if !self.is_offered("UNAUTHENTICATE") {
            let error = CommandError::bad("UNAUTHENTICATE is not offered");
            return self.end(tag, row, Err(error));
        }
        if let State::Authenticated(who) | State::Selected(who, _) = &self.state {
            tracing::info!(
                protocol = "imap",
                connection = self.peer.id,
                user = &*who.user,
                "client_unauthenticated"
            );
        }
        let was_compressed = self.is_compressed;
        self.begin_anew();
        self.services.host.withdraw();
        let completed = Completed {
            code: Some(Code::Capability(self.capabilities())),
            text: Some("Nobody is logged in any more"),
        };
        encode::tagged(&tagged(tag, row.name, Ok(completed)), out);
        self.activity = if was_compressed {
            Activity::CompressionOver
        } else {
            Activity::Ready
        };
    }

    /// Forgets everything but TLS, what the client has sent ahead, and how often it failed to log in: state of any extension, known here
    /// or not, begins anew with the session (§4.1).
    fn begin_anew(&mut self) {
        let services = self.services.clone();
        let anew = Self::new(Arc::clone(&self.settings), services, self.peer.clone());
        let limits = self.settings.limits(false);
        let mut flow = std::mem::replace(&mut self.flow, Flow::new(limits));
        flow.set_limits(limits);
        *self = Self {
            flow,
            failed_logins: self.failed_logins,
            ..anew
        };
    }
}
