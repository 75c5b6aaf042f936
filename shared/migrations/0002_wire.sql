-- What a service has taken from Kafka. The offset and the high-water position of a source's
-- partition move in the transaction of their effect; `fence` shuts out a consumer that was paused
-- and overtaken.
create table consumed (
    consumer text not null,
    topic text not null,
    partition int not null,
    next_offset bigint not null default 0,
    epoch int not null default 0,
    tx bigint not null default 0,
    seq bigint not null default 0,
    fence bigint not null default 0,
    applied_at timestamptz,
    -- The last moment at which all that Kafka then held of the partition had been applied.
    current_at timestamptz,
    primary key (consumer, topic, partition)
);

-- An event that cannot be applied parks its key: the key's later events wait behind it, in order,
-- and every other key flows. `retry` asks the running consumer to apply them all now.
create table parked_key (
    consumer text not null,
    topic text not null,
    key uuid not null,
    partition int not null,
    reason text not null,
    retry boolean not null default false,
    parked_at timestamptz not null default now(),
    primary key (consumer, topic, key)
);
create table parked_event (
    consumer text not null,
    topic text not null,
    key uuid not null,
    epoch int not null,
    tx bigint not null,
    seq bigint not null,
    -- Tells messages apart whose envelope holds no position of their own.
    kafka_offset bigint not null,
    headers jsonb not null,
    value bytea not null,
    primary key (consumer, topic, key, epoch, tx, seq, kafka_offset),
    foreign key (consumer, topic, key) references parked_key on delete cascade
);

-- The local copy of organisation's streams: each unit, person at a unit, region's rules and region's
-- calendar is one document, folded from its events. `changed` is the copy's version at which it was
-- last written: a reader in memory loads only newer ones.
create table copied (
    stream uuid primary key,
    document jsonb not null,
    kind text not null generated always as (document ->> 'type') stored,
    changed bigint not null
);
-- Persons are many, and read one by one; all else is held in memory.
create index copied_changed on copied (changed) where kind <> 'staff';
create index copied_person on copied
    using gin (jsonb_path_query_array(document, '$.posts.*.person')) with (fastupdate = off)
    where kind = 'staff';
-- The units' places once more, for what SQL asks along the tree. `during`: the days for which a
-- place counts; a unit's first one also counts before it began.
create table unit_parent (
    unit uuid not null,
    parent uuid,
    since date not null,
    during daterange not null default '(,)',
    changed bigint not null default 0,
    primary key (unit, since)
);
create index unit_parent_below on unit_parent (parent);
create index unit_parent_changed on unit_parent (changed);
-- Moves with every change of the copy; whoever holds it in memory sees by it that it is stale.
create table directory_state (
    singleton boolean primary key default true check (singleton),
    version bigint not null default 0
);
insert into directory_state default values;
