-- One account's index. Everything here may be lost; see mod.rs. All octets are as in codec.rs and record.rs, with checksums.

-- About this file; one row.
CREATE TABLE IF NOT EXISTS about (
    id    INTEGER PRIMARY KEY CHECK (id = 0),
    -- the run of the machine and the process that wrote it last; empty when it was closed in order, with all on the disk
    boot  TEXT NOT NULL,
    -- inode of this file: a copy of an older state that was put back is not to be believed
    inode INTEGER NOT NULL
) STRICT;

-- What is known of each mailbox, small: which version of it snapshot and changes make up.
CREATE TABLE IF NOT EXISTS mailbox (
    guid  BLOB PRIMARY KEY NOT NULL,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The whole of a mailbox at some time.
CREATE TABLE IF NOT EXISTS snapshot (
    guid   BLOB PRIMARY KEY NOT NULL,
    octets BLOB NOT NULL
) STRICT;

-- What changed since, in the order of generations.
CREATE TABLE IF NOT EXISTS change (
    guid       BLOB NOT NULL,
    generation INTEGER NOT NULL,
    octets     BLOB NOT NULL,
    PRIMARY KEY (guid, generation)
) STRICT, WITHOUT ROWID;

-- What STATUS tells of a mailbox.
CREATE TABLE IF NOT EXISTS status (
    guid   BLOB PRIMARY KEY NOT NULL,
    octets BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Notes about messages whose UIDs lie side by side, of one kind; see notes.rs.
CREATE TABLE IF NOT EXISTS page (
    guid   BLOB NOT NULL,
    number INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    octets BLOB NOT NULL,
    PRIMARY KEY (guid, number, kind)
) STRICT;

-- Which file holds which message of a large mailbox, and how the disk looked then; see roster.rs of the store.
CREATE TABLE IF NOT EXISTS names (
    guid   BLOB PRIMARY KEY NOT NULL,
    disk   BLOB NOT NULL,
    octets BLOB NOT NULL
) STRICT;
