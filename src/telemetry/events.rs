//! Names of the events that an administrator may rely on, from `info` upwards; `tests/events.rs` holds the table to the code.
//!
//! An event's name is its message, up to a colon behind which an error says what to do; its fields are structured. `error` is for what an
//! operator can act on; mistakes of peers are `debug`. Times are in UTC. Fields common to the events of a connection come from the span
//! `connection` around it.
//!
//! | event | level | fields | what happened |
//! |---|---|---|---|
//! | `login_finished` | info | `remote`, `protocol`, `mechanism`, `tls`, `user`, `connection` | somebody logged in |
//! | `login_failed` | info | `remote`, `reason`, `protocol`, `mechanism`, `tls`, `user`, `connection` | somebody did not: see below |
//! | `client_unauthenticated` | info | `protocol`, `connection`, `user` | somebody logged out, and the connection stays for the next login (UNAUTHENTICATE) |
//! | `connection_finished` | info | `connection`, `protocol`, `remote`, `port`, `local_port`, `tls`, `user`, `octets_in`, `octets_out`, `plain_in`, `plain_out`, `commands`, `sent`, `removed`, `added`, `duration_ms`, `reason` | a connection ended; `plain_in`, `plain_out` only if it was compressed: the octets that it would have taken otherwise |
//! | `client_identified` | info | `protocol`, `connection`, `client` | what an IMAP client says of itself (ID) |
//! | `too_many_bad_commands` | info | | a connection is closed for that |
//! | `too_many_failed_logins` | info | `logins` | the same |
//! | `limit_reached` | warn | `limit`, `remote`, `user`, `times` | a limit turned somebody away |
//! | `credentials_changed` | info | `user` | an account in use was changed, disabled or removed: its sessions end |
//! | `credential_store_damaged` | error | `error` | found at the start; what can be read is served |
//! | `credential_store_unavailable` | error | `error`, `advice` | the credential database does not answer |
//! | `credential_store_available` | info | | it does again |
//! | `credential_lookup_failed` | error | `error`, `advice` | one look-up failed; logged once a minute |
//! | `credential_database_replaced` | info | `path` | another file was put in its place and is used |
//! | `password_hash_unusable` | error | `user`, `error` | what is stored as an account's hash is none |
//! | `password_not_rehashed` | warn | `user`, `error` | a hash with today's costs could not be written |
//! | `last_logins_not_noted` | warn | `error` | times of logins could not be written |
//! | `logins_overdue` | error | `deadline_secs` | checks of passwords take too long |
//! | `logins_recovered` | info | | they do no more |
//! | `login_threads_missing` | error | `started`, `wanted`, `error` | the system gave fewer threads for logins than configured |
//! | `login_reply_panicked` | error | | a mistake of the program |
//! | `certificate_loaded` | info | `certificate` | a certificate is used from now on |
//! | `certificate_refused` | error | `certificate`, `key`, `error` | a renewed pair is bad; the old one stays in use |
//! | `certificate_expires` | warn, error | `certificate`, `days_left` | it ends soon, or has ended |
//! | `certificate_self_signed` | warn | `host` | none is configured |
//! | `certificate_check_failed` | error | | a mistake of the program |
//! | `volume_hung` | error | `volume`, `threads`, `deadline_secs` | a file system does not answer |
//! | `volume_recovered` | info | `volume` | it does again |
//! | `disk_job_hung` | error | `path`, `user`, `deadline_secs`, `advice` | a user's mail did not answer in time |
//! | `disk_job_panicked` | error | `volume`, `job` | a mistake of the program |
//! | `disk_thread_refused` | error | `volume`, `threads`, `error` | the system gives no thread |
//! | `helpers_refused` | warn | `threads`, `error`, `advice` | the system gives no threads for reading side by side |
//! | `waiter_refused` | warn | `threads`, `error`, `advice` | the system gives no thread for syncing and removing side by side |
//! | `storage_failed` | error | `operation`, `path`, `cause`, `advice` | mail could not be read or written |
//! | `storage_trouble` | warn | `operation`, `path`, `cause`, `advice` | the same, for what may pass by itself |
//! | `spool_made` | info | `user`, `path`, `mailboxes` | a new account's Maildir was made, or `mailboxes` in it: a POP3 login leaves those to the first IMAP login |
//! | `spool_missing` | error | `user`, `path`, `advice` | it is not there and may not be made |
//! | `spool_incomplete` | error | `user`, `path`, `messages`, `advice` | its `cur/` is gone though the UID list has messages; logins are refused |
//! | `new_mailbox_failed` | error | `user`, `mailbox`, `cause` | a mailbox of a new account could not be made |
//! | `tmp_swept` | info | `path`, `removed` | old unfinished deliveries were removed |
//! | `left_overs_swept` | info | `user`, `path`, `swept` | what a crash had left was removed |
//! | `stale_lock_removed` | info | `path` | a lock whose owner is gone |
//! | `lock_taken_over` | warn | `path` | another program took our lock away |
//! | `lock_not_given_back` | warn | `path`, `error` | a lock file could not be removed |
//! | `maildrop_lock_lost` | warn | `cause` | another program took a POP3 session's lock away |
//! | `mailbox_replaced` | warn | `path` | another directory stands where a mailbox was open |
//! | `message_keeps_moving` | warn | `uid`, `path`, `operation` | another program renames a message again and again |
//! | `mailbox_too_busy` | warn | `path` | other programs rename so much that no complete look succeeded |
//! | `two_messages_with_one_name` | warn | `first`, `second`, `new_name` | a delivery's name was not unique; one was renamed |
//! | `uid_list_removed_and_restored` | warn | `path` | another program removed a UID list in use |
//! | `uidlist_damaged` | error | `path`, `lines`, `first_line`, `header` | damaged lines were dropped, their messages get new UIDs |
//! | `uidlist_header_not_copied` | warn | `path`, `error` | the copy of a UID list's first line could not be written |
//! | `leftover_not_removed` | warn | `path`, `error` | a file that is of no use any more stays |
//! | `courier_keywords_not_imported` | warn | `path`, `cause` | |
//! | `courier_uid_list_unreadable` | warn | `path` | |
//! | `index_missing` | error | `path`, `error`, `advice` | there is no place for the index; mail is served without |
//! | `index_rebuilt` | warn | `path`, `cause` | an account's index, or one mailbox's part of it, was damaged or removed and begins anew |
//! | `index_unavailable` | warn | `path`, `cause`, `advice` | an account's index cannot be used for the moment; at most one line a minute |
//! | `watch_failed` | warn | `path`, `cause`, `poll_secs`, `advice` | the system does not tell of deliveries: it is looked for them |
//! | `timer_failed` | error | `cause`, `advice` | no thread for that |
//! | `listening` | info | `address`, `protocol`, `tls` | |
//! | `started` | info | `version` | clients can connect |
//! | `signal_received` | info | `signal` | |
//! | `stopping` | info | `connections` | |
//! | `stopped` | info | `elapsed_ms` | |
//! | `shutdown_deadline` | warn | `connections` | commands were cut off at the end of `limits.shutdown` |
//! | `shutdown_incomplete` | warn | `connections` | |
//! | `accept_failed` | error | `address`, `error`, `pause_ms` | mostly too few open files |
//! | `accept_loop_panicked` | error | | a mistake of the program |
//! | `open_files_few` | warn | `limit`, `wanted` | fewer files may be open than `limits.connections` |
//! | `open_files_unknown` | warn | `error` | |
//! | `privileges_dropped` | info | `user` | |
//! | `running_as_root` | warn | | |
//! | `service_manager_not_told` | error | `error` | |
//! | `panicked` | error | `place`, `text`, `thread` | a mistake of the program |
//! | `session_panicked` | error | `connection`, `user` | such a mistake ended this session |
//! | `demo_mta_panicked` | warn | | |
//! | `demo_not_delivered` | warn | `user` | |
//! | `demo_not_removed` | warn | `path`, `error` | |
//!
//! Reasons of `connection_finished`: `logged_out` (LOGOUT, QUIT), `closed_by_client`, `timeout`, `shutdown`, `limit_reached`,
//! `displaced_by_newer_connection`, `account_changed`, `client_not_reading`, `storage_hung`, `tls_handshake_timeout`, `tls_not_configured`,
//! `internal_error`; `tls_handshake_failed: …` and `connection_lost: …` with the cause, `hung_up: …` with what the client was told.
//!
//! Reasons of `login_failed`. The client's fault, and what `conf/fail2ban` counts: `unknown_user`, `wrong_password`, `disabled`. Other
//! decisions: `not_authorized` (right password, another's mail), `privacy_required` (no TLS), `login_delay`, `connection_limit`, `maildrop_in_use`.
//! Trouble or limits of the server's own: `throttled`, `queue_full`, `overdue`, `store_unavailable`, `hash_unusable`, `internal_error`,
//! `storage_unavailable`.
