-- Who is signed in where. A row is found by the hash of its cookie's secret, so that whoever reads
-- this table cannot act as anybody in it.
create table session (
    secret_hash bytea primary key,
    id uuid not null unique,
    subject text not null,
    name text not null,
    unit uuid,                  -- the unit worked for now
    agent text not null,        -- what the browser calls itself, for the person's own list
    id_token text not null,     -- a hint for the provider when the person signs out
    signed_in_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);

create index on session (subject);
create index on session (seen_at);
