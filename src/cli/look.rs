//! Looking at what may not answer: a file on a volume that hangs keeps whoever touches it waiting for ever.

use std::fmt;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long one look may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(pub(super) Duration);

impl Patience {
    /// Ten seconds: a slow disk that has to spin up answers in that time.
    pub(super) const USUAL: Self = Self(Duration::from_secs(10));

    /// Looks, on a thread of its own. One that hangs is left behind; it ends with the process.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub(super) fn look<T: Send + 'static>(
        self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (tell, told) = channel();
        let started = thread::Builder::new()
            .name("look".to_owned())
            .spawn(move || drop(tell.send(look())));
        let seen = started.ok().and_then(|_| told.recv_timeout(self.0).ok());
        seen.ok_or(NoAnswer(self))
    }
}

/// What was looked at did not answer in time.
#[derive(Debug)]
pub(super) struct NoAnswer(Patience);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "does not answer within {} s; see whether the disk or file server that it lies on is well",
            self.0.0.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_hangs_is_given_up() {
        let (release, wait) = channel::<()>();
        let hung = Patience(Duration::from_millis(10)).look(move || wait.recv());
        let text = hung.unwrap_err().to_string();
        assert!(text.contains("does not answer"), "{text}");
        drop(release);
        assert_eq!(Patience(Duration::from_secs(60)).look(|| 7).unwrap(), 7);
    }
}
