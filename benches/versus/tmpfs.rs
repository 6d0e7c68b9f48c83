//! A directory in memory, for rows that would otherwise tell how fast the disk syncs.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What statfs says of a tmpfs.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Room the rows need at full size: mail of one generation, and what is copied and appended.
const NEEDED_OCTETS: u64 = 1 << 30;

/// A directory on a tmpfs, removed with all it holds at the end.
pub struct Tmpfs {
    pub root: PathBuf,
}

impl Tmpfs {
    /// Makes a directory on the tmpfs that is asked for, or on /dev/shm.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn new(asked: Option<&Path>) -> io::Result<Self> {
        let base = asked.unwrap_or_else(|| Path::new("/dev/shm"));
        let refuse = |why| io::Error::other(format!("{}: {why}", base.display()));
        let about = rustix::fs::statfs(base)?;
        if about.f_type as u64 != TMPFS_MAGIC {
            return Err(refuse("not a tmpfs"));
        }
        if about.f_bavail as u64 * about.f_bsize as u64 <= NEEDED_OCTETS {
            return Err(refuse("less than 1 GiB is free"));
        }
        for above in base.canonicalize()?.ancestors() {
            if fs::metadata(above)?.mode() & 0o001 == 0 {
                return Err(refuse("the mail user cannot reach it"));
            }
        }
        let root = base.join(format!("restante-versus-{}", std::process::id()));
        fs::create_dir(&root)?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        Ok(Self { root })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            eprintln!("{} is left: {error}", self.root.display());
        }
    }
}
