-- What a request is granted is kept as the numbers of its units too: figures are found by those, and
-- looking them up anew for each scan of the table took most of an answer's time.
create or replace function grant_units(units text) returns void language sql as $$
    select set_config('houqin.units', units, true), set_config(
        'houqin.places',
        case when units = '*' then units else coalesce((
            select string_agg(no::text, ',') from place
            where unit = any(string_to_array(units, ',')::uuid[])
        ), '') end,
        true
    )
$$;
create or replace function granted_places() returns setof int
language sql stable parallel safe as $$
    select unnest(string_to_array(current_setting('houqin.places', true), ',')::int[])
$$;
drop policy granted on figure;
create policy granted on figure for select to houqin_reader using (
    (select current_setting('houqin.places', true)) = '*'
    or place in (select granted_places())
);
