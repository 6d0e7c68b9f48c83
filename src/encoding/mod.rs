//! Encodings of mail and of the wire: base64, modified UTF-7, quoted-printable, encoded words, charsets, dates. Pure.
