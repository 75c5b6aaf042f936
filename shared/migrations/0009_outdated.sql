-- While two releases of a service run, streams whose rows in a list were written by a process of the
-- other release than the one that the list is of: they are folded again by one that is.
create table view_outdated (
    name text not null,
    stream uuid not null,
    primary key (name, stream)
);
