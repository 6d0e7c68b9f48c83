//! Which volume a path lies on, found without touching a file system that might hang.
//!
//! The longest mount point that begins the path decides, from the kernel's own table (`/proc/self/mountinfo`, proc(5)); mounts of one
//! file system (bind mounts, sub-directories) are one volume, as they hang together. Symbolic links are followed as long as the walk
//! stays on file systems of this machine; at the first other one the rest of the path is taken as it stands.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The kernel's table of mounts.
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Symbolic links followed in one path; what Linux allows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// File systems that live on this machine's own disks or memory. All others may wait for a network or another program.
const LOCAL_TYPES: [&[u8]; 17] = [
    b"bcachefs",
    b"btrfs",
    b"devtmpfs",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"jfs",
    b"overlay",
    b"ramfs",
    b"reiserfs",
    b"rootfs",
    b"squashfs",
    b"tmpfs",
    b"ufs",
    b"xfs",
    b"zfs",
];

/// Names a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum VolumeKey {
    /// A mounted file system: its device number, and its mount point for the log.
    Device(Box<str>),
    /// A directory that the settings name, or the root where there is no table of mounts.
    Place(PathBuf),
}

impl fmt::Display for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(name) => f.write_str(name),
            Self::Place(path) => path.display().fmt(f),
        }
    }
}

/// One place where a volume begins.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    key: VolumeKey,
    is_local: bool,
}

/// The places where volumes begin.
#[derive(Debug)]
pub(super) struct Mounts {
    /// In the order of mounting: of two on one point, the later hides the earlier.
    mounts: Vec<Mount>,
}

impl Mounts {
    /// The mounts as the kernel tells them, and the places of the settings.
    pub(super) fn read(places: &[PathBuf]) -> Self {
        Self::parse(&fs::read(MOUNTINFO).unwrap_or_default(), places)
    }

    /// The mounts of a table in the form of `/proc/self/mountinfo`; lines of another form are passed over.
    fn parse(table: &[u8], places: &[PathBuf]) -> Self {
        let mut mounts: Vec<Mount> = table.split(|&o| o == b'\n').filter_map(mount).collect();
        name_by_first_point(&mut mounts);
        let mut all = Self { mounts };
        for place in places {
            let is_local = all.mount_of(place).is_some_and(|mount| mount.is_local);
            all.mounts.push(Mount {
                point: place.clone(),
                key: VolumeKey::Place(place.clone()),
                is_local,
            });
        }
        all
    }

    /// The volume that a path lies on, symbolic links followed where that is safe.
    pub(super) fn volume_of(&self, path: &Path) -> VolumeKey {
        let resolved = self.resolve(path);
        self.mount_of(&resolved).map_or_else(
            || VolumeKey::Place(PathBuf::from("/")),
            |mount| mount.key.clone(),
        )
    }

    /// The innermost mount that holds a path.
    fn mount_of(&self, path: &Path) -> Option<&Mount> {
        self.mounts
            .iter()
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.as_os_str().len())
    }

    /// A path without symbolic links, as far as they can be read from file systems of this machine.
    fn resolve(&self, path: &Path) -> PathBuf {
        let mut resolved = PathBuf::from("/");
        let mut ahead: VecDeque<OsString> = names(path).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                resolved.pop();
                continue;
            }
            resolved.push(&name);
            if !self.mount_of(&resolved).is_some_and(|mount| mount.is_local) {
                break;
            }
            let Ok(target) = fs::read_link(&resolved) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                break;
            }
            resolved.pop();
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(name);
            }
        }
        resolved.extend(ahead);
        resolved
    }
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

/// One line: `id parent major:minor root point options [optional…] - type source options`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&o| o == b' ');
    let device = fields.nth(2)?;
    let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount {
        point,
        key: VolumeKey::Device(String::from_utf8_lossy(device).into()),
        is_local: LOCAL_TYPES.contains(&kind),
    })
}

/// Adds to each device's name the first point where it is mounted, since a bare number tells an operator nothing.
fn name_by_first_point(mounts: &mut [Mount]) {
    let mut names: Vec<(VolumeKey, VolumeKey)> = Vec::new();
    for mount in mounts {
        let known = names.iter().find(|(device, _)| *device == mount.key);
        let named = known.map_or_else(
            || VolumeKey::Device(format!("{} ({})", mount.point.display(), mount.key).into()),
            |(_, named)| named.clone(),
        );
        if known.is_none() {
            names.push((mount.key.clone(), named.clone()));
        }
        mount.key = named;
    }
}

/// Undoes `\040` and the like, by which the table writes blank, tab, line feed and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| OsStr::from_bytes(digits).to_str())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(octet) => {
                plain.push(octet);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{Mounts, VolumeKey};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    const TABLE: &[u8] = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 27 0:45 / /srv/mail rw,relatime shared:9 master:2 - nfs4 filer:/mail rw,hard
41 27 0:45 /old /srv/old\\040mail rw,relatime - nfs4 filer:/mail rw,hard
42 27 254:1 /data /data rw - ext4 /dev/vda1 rw
no mount at all
";

    fn place(text: &str) -> VolumeKey {
        VolumeKey::Place(PathBuf::from(text))
    }

    #[test]
    fn longest_mount_point_decides() {
        let mounts = Mounts::parse(TABLE, &[PathBuf::from("/srv/mail/b.example")]);
        let cases = [
            ("/srv/mail/a.example/anna", "/srv/mail (0:45)"),
            ("/srv/mail", "/srv/mail (0:45)"),
            ("/srv/mailbox", "/ (254:1)"),
            ("/srv/old mail/x", "/srv/mail (0:45)"),
            ("/data/x", "/ (254:1)"),
            ("/srv/mail/b.example/bruno", "/srv/mail/b.example"),
            ("/srv/mail/../mail/x", "/srv/mail (0:45)"),
        ];
        for (path, volume) in cases {
            assert_eq!(
                mounts.volume_of(Path::new(path)).to_string(),
                volume,
                "{path}"
            );
        }
    }

    #[test]
    fn without_a_table_only_the_places_count() {
        let mounts = Mounts::parse(b"", &[PathBuf::from("/var/mail")]);
        assert_eq!(
            mounts.volume_of(Path::new("/var/mail/x")),
            place("/var/mail")
        );
        assert_eq!(mounts.volume_of(Path::new("/home/x")), place("/"));
    }

    #[test]
    fn links_are_followed_up_to_a_foreign_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        symlink(root.join("filer/spool"), root.join("mail")).unwrap();
        symlink("mail", root.join("post")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        // Must not be read: it lies on the foreign file system.
        std::fs::create_dir_all(root.join("filer/spool")).unwrap();
        symlink("/", root.join("filer/spool/anna")).unwrap();
        let table = format!(
            "1 1 8:1 / / rw - ext4 x rw\n2 1 0:9 / {} rw - nfs x rw\n",
            root.join("filer").display()
        );
        // A place of the settings is as local as what it lies on.
        let mounts = Mounts::parse(table.as_bytes(), std::slice::from_ref(&root));
        assert_eq!(
            mounts.resolve(&root.join("post/anna/Maildir")),
            root.join("filer/spool/anna/Maildir")
        );
        assert!(
            mounts
                .volume_of(&root.join("post/anna"))
                .to_string()
                .contains("0:9")
        );
        assert_eq!(
            mounts.volume_of(&root.join("loop/x")),
            VolumeKey::Place(root)
        );
    }

    #[test]
    fn the_table_of_this_machine_is_read() {
        let mounts = Mounts::read(&[]);
        assert!(!cfg!(target_os = "linux") || mounts.mount_of(Path::new("/")).is_some());
    }
}
