-- The units at and below those named (ids with commas), as the tree stands today. `offset 0` has each
-- unit's children looked up by index: how few they are, the planner cannot know, and would read all.
create function units_below(scope text) returns table (unit_id uuid)
language sql stable as $$
    with recursive below as (
        select u::uuid as unit from unnest(string_to_array(nullif(scope, ''), ',')) as u
        union
        select child.unit from below, lateral (
            select unit from unit_parent
            where parent = below.unit and during @> (now() at time zone 'Asia/Shanghai')::date
            offset 0
        ) child
    )
    select unit from below
$$;
-- The copy's version at which the tree last changed.
create function tree_version() returns bigint
language sql stable as $$ select coalesce(max(changed), 0) from unit_parent $$;
grant select on unit_parent to public;
