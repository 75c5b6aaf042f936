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
    primary key (consumer, topic, partition)
);

-- An event that cannot be applied parks its key: the key's later events wait behind it, in order,
-- and every other key flows.
create table parked_key (
    consumer text not null,
    topic text not null,
    key uuid not null,
    reason text not null,
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
    headers jsonb not null,
    value bytea not null,
    primary key (consumer, topic, key, epoch, tx, seq),
    foreign key (consumer, topic, key) references parked_key on delete cascade
);

-- The local copy of units, posts, calendar and rules, kept from organisation's events.
create table unit (
    id uuid primary key,
    code text not null,
    name text not null,
    level smallint not null,
    kind text not null default '',
    division_code text not null default '',
    since date not null,
    closed_on date,
    merged_into uuid
);
create table unit_parent (
    unit uuid not null,
    parent uuid,
    since date not null,
    primary key (unit, since)
);
create table post (
    id uuid primary key,
    person text not null,
    unit uuid not null,
    role text not null,
    since date not null,
    until date,
    delegated_by text
);
create index post_person on post (person);
create index post_unit on post (unit, role);
create table rule (
    slug text not null,
    region uuid not null,
    since date not null,
    values jsonb not null,
    source_zh text not null,
    source_en text not null,
    mark text not null,
    primary key (slug, region, since)
);
create table term (
    region uuid not null,
    school_year int not null,
    term smallint not null,
    first_day date not null,
    last_day date not null,
    primary key (region, school_year, term)
);
create table day_off (
    region uuid not null,
    first_day date not null,
    last_day date not null,
    kind text not null,
    name text not null,
    primary key (region, first_day, kind)
);
-- Moves with every change of the copy above; readers in memory compare it to know they are stale.
create table directory_state (
    singleton boolean primary key default true check (singleton),
    version bigint not null default 0,
    current_at timestamptz not null default '-infinity'
);
insert into directory_state default values;
