-- What has been received, and the figures folded from it.

-- Every event as it came. An event's month is that of its recording, so the same event always falls
-- into the same partition, and the unique index holds over all of them.
create table archive (
    month date not null,
    source text not null,
    epoch int not null,
    tx bigint not null,
    seq bigint not null,
    id uuid not null,
    stream uuid not null,
    version int not null,
    type text not null,
    organisation uuid not null,
    actor text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    day date not null,
    correlation uuid,
    causation uuid,
    data bytea not null,
    unique (source, epoch, tx, seq, month)
) partition by range (month);
create index archive_place on archive (type, organisation, day);

-- Facts that count for another unit or another day than their event's own, so that the events
-- behind a figure are found without looking through all of them.
create table stray (
    type text not null,
    unit uuid not null,
    day date not null,
    month date not null,
    source text not null,
    epoch int not null,
    tx bigint not null,
    seq bigint not null,
    primary key (type, unit, day, month, source, epoch, tx, seq)
);

-- Numbers for units and for (measure, labels): figures are many, and a number is short.
create table place (
    no int generated always as identity primary key,
    unit uuid not null unique
);
create table series (
    no int generated always as identity primary key,
    measure text not null,
    labels text[] not null,
    unique (measure, labels)
);

-- A figure of a unit: the sum of all facts of it and of every unit that stood below it on the
-- fact's day. grain 0: `day`; grain 1: the month that begins on `day`. `entries`: how many facts.
-- Amounts and quantities in ten-thousandths. A lane belongs to one worker process, so that
-- processes never wait for each other; lanes are summed when read.
create table figure (
    series int not null,
    grain smallint not null,
    day date not null,
    place int not null,
    lane smallint not null,
    entries bigint not null,
    count bigint not null,
    amount bigint not null,
    quantity bigint not null,
    primary key (series, grain, day, place, lane)
) with (fillfactor = 85);
create index figure_months on figure (place, series, day) where grain = 1;

-- The tree along which the figures stand rolled up, and the version of the local copy it was.
create table rolled_parent (
    unit uuid not null,
    since date not null,
    parent uuid,
    changed bigint not null,
    primary key (unit, since)
);
create table rolled (
    singleton boolean primary key default true check (singleton),
    version bigint not null default 0
);
insert into rolled default values;

-- Which code each measure's figures were folded with; other code folds them anew from the archive.
create table measured (
    measure text primary key,
    code text not null
);

-- The second wall beneath the access check: whoever reads sees only what the check has granted to
-- the request, named in houqin.units ('*': everything).
create function granted_units() returns setof uuid language sql stable parallel safe as $$
    select unnest(string_to_array(current_setting('houqin.units', true), ',')::uuid[])
$$;
alter table archive enable row level security;
create policy granted on archive for select to houqin_reader using (
    (select current_setting('houqin.units', true)) = '*'
    or organisation in (select granted_units())
    or (source, epoch, tx, seq) in (
        select s.source, s.epoch, s.tx, s.seq from stray s where s.unit in (select granted_units())
    )
);
alter table figure enable row level security;
create policy granted on figure for select to houqin_reader using (
    (select current_setting('houqin.units', true)) = '*'
    or place in (select no from place where unit in (select granted_units()))
);
grant select on archive, stray, place, series, figure, rolled, rolled_parent, consumed, parked_key
    to houqin_reader;
