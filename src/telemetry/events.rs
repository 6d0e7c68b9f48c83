//! Names of the events that an administrator may rely on. An event's name is its message; its fields are structured.
//!
//! | event | level | fields |
//! |---|---|---|
//! | `login_finished` | info | `remote`, `protocol`, `mechanism`, `tls`, `user`, `connection` |
//! | `login_failed` | info | `remote`, `reason`, then the same: `unknown_user`, `wrong_password`, `disabled` are the client's fault; `not_authorized`, `privacy_required`; `throttled`, `queue_full`, `overdue`, `store_unavailable`, `hash_unusable`, `internal_error`, `connection_limit`, `storage_unavailable` are not |
//! | `connection_finished` | info | `connection`, `protocol`, `remote`, `tls`, `user`, `octets_in`, `octets_out`, `commands`, `sent`, `removed`, `added`, `reason` |
//! | `limit_reached` | warn | `limit`, `remote` or `user` |
//! | `login_queue_full`, `login_overdue` | warn, error | `queue`; `deadline_secs`, `store` |
//! | `credential_store_unavailable`, `credential_store_available` | error, info | `error` |
//! | `certificate_loaded`, `certificate_refused`, `certificate_expires` | info, error, warn | `certificate`, `days_left`, `error` |
//! | `volume_hung`, `volume_recovered` | error, info | `volume`, `account` |
//! | `listening` | info | `address`, `protocol`, `tls` |
//! | `started`, `stopping`, `stopped` | info | `version`; `connections` |
//! | `panicked` | error | `connection`, `protocol`, `user`, `reference` |
