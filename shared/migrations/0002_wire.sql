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

-- The local copy of units, posts, calendar and rules, kept from organisation's events. `changed` is
-- the copy's version at which a row was last written: a reader in memory loads only newer rows.
create table unit (
    id uuid primary key,
    code text not null,
    name text not null,
    level smallint not null,
    kind text not null default '',
    division_code text not null default '',
    since date not null,
    closed_on date,
    merged_into uuid,
    changed bigint not null default 0
);
create table unit_parent (
    unit uuid not null,
    parent uuid,
    since date not null,
    changed bigint not null default 0,
    primary key (unit, since)
);
-- Held from `since` until the day before `until`. A lent post has the id of its delegation, and
-- `origin` is the post that was lent: it does not outlive it.
create table post (
    id uuid primary key,
    person text not null,
    unit uuid not null,
    role text not null,
    since date not null,
    until date,
    delegated_by text,
    origin uuid
);
create index post_person on post (person);
create index post_origin on post (origin) where origin is not null;
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
-- `version` moves with every change of the copy above, the others name the version at which that
-- part last changed; readers in memory compare them to know that they are stale.
create table directory_state (
    singleton boolean primary key default true check (singleton),
    version bigint not null default 0,
    units bigint not null default 0,
    posts bigint not null default 0,
    rules bigint not null default 0,
    calendar bigint not null default 0
);
insert into directory_state default values;
