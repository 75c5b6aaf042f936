-- The role under which everything is read: row-level security shows it only the caller's scope.
-- Roles belong to all databases of a server, so that others may be making it just now.
do $$ begin
    create role houqin_reader nologin;
exception when duplicate_object or unique_violation then null;
end $$;
grant houqin_reader to current_user;

-- What each view's rows were made with: of another shape they are made anew.
create table if not exists view_shape (name text primary key, shape text not null);
