//! Logging: subscriber set-up, names of events, counters.
