"""Figures that are read and figures folded anew beside them, held against each other.

Both are looked at in one snapshot; what had been counted by then and not yet been folded beside is
folded in memory and taken off, so that nobody has to wait for the comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hosting.rebuild import SHOWN, Compared
from services.reporting.figures.fold import Folded, Numbers, Spread, rows_of
from services.reporting.figures.keep import intern_places, intern_series

if TYPE_CHECKING:
    from services.reporting.figures.rebuild import Rebuild, Run

# A figure's hash is that of its key and sums; the hash of all is theirs together, in any order.
_COMPARE = """
with counted as (
    select series, grain, day, place, entries, count, amount, quantity from figure
    where series in (select no from series where measure = any($1) and stand <> 'old')
    union all
    select series, grain, day, place, -entries, -count, -amount, -quantity
    from unnest($2::int[], $3::smallint[], $4::date[], $5::int[], $6::smallint[], $7::bigint[],
                $8::bigint[], $9::bigint[], $10::bigint[])
        as rest(series, grain, day, place, lane, entries, count, amount, quantity)
), summed as (
    select s.stand, s.measure, s.labels, c.grain, c.day, c.place,
           array[sum(c.entries), sum(c.count), sum(c.amount), sum(c.quantity)]::bigint[] as sums
    from counted c join series s on s.no = c.series
    group by 1, 2, 3, 4, 5, 6
), standing as (
    select * from summed where sums <> '{0,0,0,0}'
), pairs as (
    select measure, labels, grain, day, place, old.sums as old, new.sums as new,
           hashtextextended(row(measure, labels, grain, day, place)::text, 0) as key
    from (select * from standing where stand = 'live') old
    full join (select * from standing where stand = 'beside') new
        using (measure, labels, grain, day, place)
), differing as (
    select * from pairs where old is distinct from new
)
select (select count(old) from pairs) as old_rows, (select count(new) from pairs) as new_rows,
    (select bit_xor(hashtextextended(old::text, key)) from pairs where old is not null) as old_hash,
    (select bit_xor(hashtextextended(new::text, key)) from pairs where new is not null) as new_hash,
    (select count(*) from differing) as differing,
    array(
        select d.measure || ' ' || array_to_string(d.labels, ',') || ' '
               || case d.grain when 0 then d.day::text else to_char(d.day, 'YYYY-MM') end
               || ' ' || p.unit || ': ' || coalesce(d.old::text, '-') || ' → '
               || coalesce(d.new::text, '-')
        from differing d join place p on p.no = d.place
        order by d.measure, d.day, p.unit limit $11
    ) as shown
"""


async def compare(rebuild: Rebuild, run: Run) -> Compared:
    """What is read, less what has come since the last round, beside what was folded anew."""
    pool, numbers = rebuild.pool, Numbers()
    known = dict(await pool.fetch("select measure, code from measured"))
    while True:
        await rebuild.keeper.reload()
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            version = await connection.fetchval("select version from rolled")
            if version != rebuild.keeper.tree.version:
                continue
            leaves = rebuild.fold(await rebuild.rest(connection, run), Folded()).leaves
            tree = rebuild.keeper.tree
            units = {unit for _, unit, _ in leaves}
            await intern_series(pool, numbers, {key for key, _, _ in leaves})
            above = {up for unit in units for _, path in tree.over_time(unit) for up in path}
            await intern_places(pool, numbers, units | above)
            rest = rows_of(Spread(tree, numbers).cells(leaves), 0)
            columns = list(map(list, zip(*rest, strict=True))) if rest else [[] for _ in range(9)]
            row = await connection.fetchrow(_COMPARE, sorted(rebuild.names), *columns, SHOWN)
            assert row is not None
        changed = dict(zip(run.measures, run.codes, strict=True))
        redefined = [name for name, code in changed.items() if known.get(name) != code]
        return Compared.of(row, redefined)
