-- What is stored, by the SHA-256 of its bytes; the bytes themselves are in the file store.
create table file (
    sha256 bytea primary key,
    media_type text not null,
    size_bytes integer not null,
    stored_at timestamptz not null default now(),
    asked_at timestamptz not null default now(),    -- when somebody was last told that it is there
    named_at timestamptz,       -- when a command first named it; what none ever names is swept
    erased_at timestamptz,      -- its bytes are gone, and do not come back
    erased_why text
);

create index on file (asked_at) where named_at is null;

-- For which unit a file was sent, and by whom: whoever holds a post there or above may see it.
create table file_place (
    sha256 bytea not null references file,
    unit uuid not null,
    subject text not null,
    sent_at timestamptz not null default now(),
    primary key (sha256, unit, subject)
);

create index on file_place (subject, sent_at);

-- A file on its way here, everybody's own: nobody can spoil what another is sending.
create table file_upload (
    sha256 bytea not null,
    subject text not null,
    unit uuid not null,
    size_bytes integer not null,
    piece_bytes integer not null,
    touched_at timestamptz not null default now(),
    primary key (sha256, subject)
);

create index on file_upload (touched_at);

create table file_piece (
    sha256 bytea not null,
    subject text not null,
    number integer not null,
    bytes bytea not null,
    primary key (sha256, subject, number),
    foreign key (sha256, subject) references file_upload on delete cascade
);
