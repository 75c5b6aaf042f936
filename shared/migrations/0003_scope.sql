-- The units at and below those named (ids with commas), as the tree stands today.
create function units_below(scope text) returns table (unit_id uuid)
language sql stable as $$
    with recursive today as (
        select distinct on (unit) unit, parent from unit_parent
        where since <= (now() at time zone 'Asia/Shanghai')::date
        order by unit, since desc
    ), below as (
        select u::uuid as unit from unnest(string_to_array(nullif(scope, ''), ',')) as u
        union
        select today.unit from today join below on today.parent = below.unit
    )
    select unit from below
$$;
grant select on unit, unit_parent to public;
