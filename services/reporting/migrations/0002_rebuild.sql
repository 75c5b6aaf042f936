-- Figures are built anew beside those that are read, and take their place in one short transaction.

-- When an event was kept: all rows before an old enough transaction are there to be seen, so ranges
-- of it hold each event once, however late its own place in the order may be.
alter table archive add column kept bigint not null default (pg_current_xact_id()::text)::bigint;
create index archive_kept on archive using brin (kept);

-- `live`: what is read and counted on. `beside`: of a rebuild under way, in the same table, under
-- numbers of its own, so that one update of these few rows takes every figure over at once.
-- `old`: no longer read, to be removed.
alter table series add column stand text not null default 'live'
    check (stand in ('live', 'beside', 'old'));
alter table series drop constraint series_measure_labels_key;
create unique index series_live on series (measure, labels) where stand = 'live';
create unique index series_beside on series (measure, labels) where stand = 'beside';

-- Moves when series are taken over: whoever counted under the numbers before counts again.
alter table rolled add column generation bigint not null default 0;

-- A rebuild under way, so that it can go on where it was stopped: events kept within [since, upto)
-- are being folded, part by part
-- (a month, or its file), and those up to the place named are.
create table rebuild (
    singleton boolean primary key default true check (singleton),
    measures text[] not null,
    codes text[] not null,
    since bigint not null default 0,
    upto bigint not null,
    part text not null default '',
    source text not null default '',
    epoch int not null default 0,
    tx bigint not null default 0,
    seq bigint not null default 0,
    folded bigint not null default 0,
    began_at timestamptz not null default now()
);

-- Months of the archive that were taken out into files: what is needed to find and to trust them.
-- Events in one count for days from `first_day` to `last_day`.
create table detached_month (
    month date primary key,
    first_day date not null,
    last_day date not null,
    manifest jsonb not null,
    detached_at timestamptz not null default now()
);
grant select on detached_month to houqin_reader;
