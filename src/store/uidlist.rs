//! uidlist
