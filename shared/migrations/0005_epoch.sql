-- The order key (epoch, tx, seq) of a log that was restored. Its events keep the keys that they went
-- to Kafka with; what is written from then on is of a new epoch, and sorts after all of them.

-- A physical restore and every promotion begin a new timeline of the server.
create function server_timeline() returns int language sql volatile as $$
    select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
$$;

-- The timeline of the server under which an epoch began, and the only one on which it is written:
-- on another the log may lack what Kafka holds. 0: nobody may write until that has been seen to.
alter table log_epoch add column timeline int not null default server_timeline();

create function log_is_open() returns boolean language sql stable as $$
    select timeline = server_timeline() from log_epoch order by epoch desc limit 1
$$;

-- Ends the append statement where the log is closed.
create function must_be_open() returns boolean language plpgsql as $$
begin
    if not log_is_open() then
        raise exception 'the log was restored, and has not been held against Kafka yet'
            using errcode = 'read_only_sql_transaction';
    end if;
    return true;
end $$;

alter table event add column epoch int not null default 1;
drop index event_order;
create index event_order on event (epoch, tx, seq);

-- `offsets`: by partition, where Kafka goes on after what is marked as sent.
alter table relay add column epoch int not null default 1,
                  add column offsets bigint[] not null default '{}';

-- What reactions had written when a restore took it back out of Kafka: not to be done again.
create table reacted (causation uuid primary key);

-- Of the last event that the request made: `epoch.tx.seq;organisation`.
update idempotency set position = '1.' || position;

-- Events that Kafka has, and no log: declared void after a restore that could not take them back.
create table voided (
    id uuid primary key,
    epoch int not null,
    tx bigint not null,
    seq bigint not null,
    stream uuid not null,
    version int not null,
    type text not null,
    voided_at timestamptz not null default now()
);
