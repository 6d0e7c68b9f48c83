//! Maildir behind the traits of `mailbox::backend`.
mod account;
mod courier;
mod deliver;
mod filename;
mod folders;
mod keywords;
mod scan;
mod special_use;
mod spool;
mod subscriptions;
mod uid_validity;
mod uidlist;
mod watch;
