-- What was sent and must not be stored counts towards what a person may send within a day, so that
-- the work of looking at it cannot be asked for without end.
create table file_refused (
    subject text not null,
    size_bytes integer not null,
    refused_at timestamptz not null default now()
);

create index on file_refused (subject, refused_at);
