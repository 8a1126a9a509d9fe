-- The small collections of all providers in one table: droplets, sizes, zones, users, pipelines. What
-- lists need of a record is in columns, the rest stays in its JSON. What is large, has columns people
-- filter by, or was a table of the system being replaced, keeps a table of its own.
create table records (
    collection text not null,
    id text not null,
    account text,
    parent text,
    name text,
    changed_at timestamptz,
    data jsonb not null,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz,
    primary key (collection, id)
);
comment on table records is 'Small collections of providers, one row per record';
comment on column records.collection is 'as in sync_state, e.g. do.droplets';
comment on column records.id is 'the provider''s id, unique in its collection';
comment on column records.parent is 'the id of what it belongs to: of a DNS record, its zone';
comment on column records.name is 'what people call it; need not be unique';
comment on column records.changed_at is 'the provider''s time of the last change, where it tells one';
comment on column records.content_hash is 'of the provider''s text; null makes the next sync write the row again';
comment on column records.last_synced is 'when this version came from the provider; an unchanged record is not rewritten, see sync_state for how fresh the collection is';
comment on column records.deleted_at is 'the tombstone: when it was found gone';

create index records_parent on records (collection, parent) where parent is not null;
create index records_name on records (collection, lower(name));
