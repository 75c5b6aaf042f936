-- The log of one service, and what moves in the same transaction with it.

create table log_epoch (
    epoch int primary key,
    began_at timestamptz not null default now()
);
insert into log_epoch (epoch) values (1);

-- (tx, seq) is the order: a reader stays behind pg_snapshot_xmin(pg_current_snapshot()), so that it
-- never passes an event that commits later. The insert of events is the first write of its
-- transaction; otherwise tx would be taken early and v2 of a stream could sort before v1.
create table event (
    month date not null,
    tx xid8 not null default pg_current_xact_id(),
    seq bigint generated always as identity,
    id uuid not null,
    stream uuid not null,
    version int not null,
    type text not null,
    data bytea not null,
    organisation uuid not null,
    actor text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    correlation uuid not null,
    causation uuid,
    trace text,
    unique (stream, version, month)
) partition by range (month);
create index event_order on event (tx, seq);

-- A stream belongs to one organisation for its life. The version guards across months, where the
-- unique index of a partition cannot.
create table head (
    stream uuid primary key,
    aggregate text not null,
    organisation uuid not null,
    version int not null
) with (fillfactor = 70);
create index head_aggregate on head (aggregate, stream);

create table snapshot (
    stream uuid primary key,
    version int not null,
    code text not null,
    state bytea not null
);

create table idempotency (
    subject text not null,
    key text not null,
    operation text not null,
    fingerprint bytea not null,
    status smallint not null,
    etag int,
    body bytea not null,
    -- Of the last event that the request made: `tx.seq;organisation`.
    position text,
    recorded_at timestamptz not null default now(),
    primary key (subject, key)
);

create table due (
    stream uuid primary key,
    aggregate text not null,
    at timestamptz not null
);
create index due_at on due (at);

create table relay (
    singleton boolean primary key default true check (singleton),
    fence bigint not null default 0,
    tx xid8 not null default '0',
    seq bigint not null default 0,
    sent bigint not null default 0
);
insert into relay default values;

-- Ends the append statement, and so its transaction, where a write met fewer rows than it should:
-- somebody else was there first.
create function must_be(met bigint, wanted bigint) returns boolean language plpgsql as $$
begin
    if met <> wanted then
        raise exception 'conflict: % of %', met, wanted;
    end if;
    return true;
end $$;
