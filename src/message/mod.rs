//! RFC 5322 and MIME, pure: header fields, addresses, structure, sections, line ends.
