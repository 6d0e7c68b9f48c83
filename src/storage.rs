//! Volumes: bounded threads and a deadline for everything that touches a disk.
