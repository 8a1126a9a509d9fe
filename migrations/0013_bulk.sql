-- A first sync of many records builds indexes once, at its end, instead of row by row.

-- What is to be built again: written in the transaction that drops an index, deleted in the one that builds it, so
-- that whichever run comes to its end after a stop or a crash knows what is missing. Empty at all other times.
create table sync_indexes (
    name text primary key,
    collection text not null,
    definition text not null
);
comment on table sync_indexes is 'indexes that wait for the end of a first sync';

-- Drops what indexes those of the tables have that are empty, except for keys and constraints, and tells how many.
create function sync_put_off(of text, tables text[]) returns integer language plpgsql as $$
declare
    wanted text;
    filled boolean;
    found record;
    done integer := 0;
begin
    foreach wanted in array tables loop
        execute format('lock table %I in access exclusive mode', wanted);
        execute format('select exists (select from %I)', wanted) into filled;
        continue when filled;
        for found in
            select c.oid, c.relname, pg_get_indexdef(c.oid) as definition
              from pg_index i join pg_class c on c.oid = i.indexrelid
             where i.indrelid = to_regclass(quote_ident(wanted)) and not i.indisunique
               and not exists (select from pg_constraint where conindid = c.oid)
        loop
            insert into sync_indexes (name, collection, definition) values (found.relname, of, found.definition);
            execute format('drop index %s', found.oid::regclass);
            done := done + 1;
        end loop;
    end loop;
    return done;
end $$;

-- Builds one of them; one that somebody has built meanwhile is left as it is.
create function sync_build(wanted text) returns void language plpgsql as $$
declare
    command text;
begin
    delete from sync_indexes where name = wanted returning definition into command;
    if command is not null and to_regclass(quote_ident(wanted)) is null then
        execute command;
    end if;
end $$;
