-- Of the portion behind the place named, so many slices are written. What a slice is follows from the
-- sizes with which it was cut.
alter table rebuild add column slices int not null default 0,
                    add column sizes int[] not null default '{}';
