-- A list that is being built anew beside the one that is read, so that a rebuild that was stopped
-- can go on: streams up to `last` are folded; what was written in or after the transaction `since`
-- must be folded again.
create table view_rebuild (
    name text primary key,
    shape text not null,
    since xid8 not null default pg_snapshot_xmin(pg_current_snapshot()),
    last uuid not null default '00000000-0000-0000-0000-000000000000',
    folded bigint not null default 0,
    began_at timestamptz not null default now()
);
