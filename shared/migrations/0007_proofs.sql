-- The tree over the log, and what was signed of it (docs/evidence.md). Written by one leader, behind
-- the same horizon as the relay: `size` leaves, up to the event at (epoch, tx, seq).
create table log_tree (
    singleton boolean primary key default true check (singleton),
    size bigint not null default 0,
    epoch int not null default 0,
    tx xid8 not null default '0',
    seq bigint not null default 0
);
insert into log_tree default values;

-- Beside its hash a leaf says which event it is of, so that one that was removed can be named.
create table log_leaf (
    number bigint primary key,
    epoch int not null,
    tx xid8 not null,
    seq bigint not null,
    stream uuid not null,
    version int not null,
    hash bytea not null,
    unique (epoch, tx, seq)
);

-- Up to 256 roots of neighbouring full subtrees of 256 ^ level leaves; level 0 is log_leaf itself.
create table log_tile (
    level smallint not null,
    number bigint not null,
    hashes bytea not null,
    primary key (level, number)
);
-- Hashes do not shrink.
alter table log_tile alter column hashes set storage external;

-- Every checkpoint ever signed. `proof`: hashes that show the tree of the checkpoint before to be
-- the beginning of this one.
create table log_checkpoint (
    size bigint not null,
    public_key text not null,
    note text not null,
    proof bytea not null,
    signed_at timestamptz not null default now(),
    primary key (size, public_key)
);
create table log_key (
    public_key text primary key,
    since timestamptz not null default now()
);
