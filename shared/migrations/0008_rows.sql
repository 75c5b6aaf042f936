-- What the append statement is given: rows on their way into event, head and idempotency.
create type new_event as (
    id uuid, stream uuid, version int, type text, data bytea, organisation uuid, actor text,
    occurred_at timestamptz, recorded_at timestamptz, correlation uuid, causation uuid, trace text
);
create type new_move as (stream uuid, aggregate text, organisation uuid, before int, after int);
create type new_key as (
    subject text, key text, operation text, fingerprint bytea, status smallint, etag int,
    body bytea, last uuid
);
