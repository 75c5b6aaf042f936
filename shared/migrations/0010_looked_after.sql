-- What each worker last saw of itself, so that any process can say how the service is. Unlogged: it
-- is only of now.
create unlogged table watched (
    process text primary key,
    at timestamptz not null default clock_timestamp(),
    seen jsonb not null
);

-- Base back-ups of this database's server, written by whatever took them.
create table backed_up (
    at timestamptz primary key,
    bytes bigint not null
);

-- Who reads the log as the caller of a request sees of it what lies in his scope.
alter table event enable row level security;
create policy scope on event for select to houqin_reader using
    (current_setting('houqin.scope', true) = '*' or organisation in
     (select unit_id from units_below(current_setting('houqin.scope', true))));
grant select on event to houqin_reader;
