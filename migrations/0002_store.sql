-- What medtainer adds to the tables it adopted, and what a sync has to remember between processes.
-- Columns are only ever added: rows written by the old system stay true with nulls in them.

-- The audit trail says who did what, from where, and how it ended.
alter table tool_executions
    add column if not exists finished_at timestamptz,
    add column if not exists command text,
    add column if not exists effect text,
    add column if not exists caller text,
    add column if not exists principal text,
    add column if not exists account text,
    add column if not exists state text,
    add column if not exists error_kind text,
    add column if not exists exit_code smallint,
    add column if not exists calls integer,
    add column if not exists host text,
    add column if not exists pid integer,
    add column if not exists version text;

comment on column tool_executions.timestamp is 'when the call began';
comment on column tool_executions.tool_name is 'the catalog name, e.g. gohighlevel.read_contacts';
comment on column tool_executions.params is 'argument names with non-personal values; secrets left out, personal data "[redacted]"';
comment on column tool_executions.response is 'a summary (status, count, source, complete), never a third party''s data';
comment on column tool_executions.command is 'the words that name the command, e.g. ghl contacts; never its arguments';
comment on column tool_executions.effect is 'read, local, write or danger: what the command may do to the world';
comment on column tool_executions.caller is 'terminal, script, mcp or schedule';
comment on column tool_executions.principal is 'the user, API key or schedule behind the call';
comment on column tool_executions.state is 'how far a write has come; null for reads';
comment on column tool_executions.calls is 'requests to providers that the call needed';

-- Few rows are writes, and those are the ones people ask for by state.
create index if not exists idx_tool_executions_state on tool_executions (state, timestamp desc)
    where state is not null;

-- What lists, filters and digests need of a contact, out of the JSON: eight times cheaper to read.
alter table contacts
    add column if not exists account text,
    add column if not exists name text,
    add column if not exists first_name text,
    add column if not exists last_name text,
    add column if not exists company text,
    add column if not exists email text,
    add column if not exists phone text,
    add column if not exists tags text[],
    add column if not exists source text,
    add column if not exists assigned_to text,
    add column if not exists deleted_at timestamptz,
    add column if not exists content_hash bigint,
    -- Never null, so that keyset pages need no special case; contacts without a time come last.
    add column if not exists changed_at timestamptz
        generated always as (coalesce(updated_at, created_at, to_timestamp(0))) stored;

comment on column contacts.ecosystem is 'which provider the row came from';
comment on column contacts.account is 'which account of that provider';
comment on column contacts.last_synced is 'when this version of the row came from the provider; an unchanged contact is not rewritten, see sync_state for how fresh the collection is';
comment on column contacts.created_at is 'the provider''s time of creation';
comment on column contacts.updated_at is 'the provider''s time of the last change';
comment on column contacts.tags is 'lower case, since the provider is not consistent; as written in data';
comment on column contacts.deleted_at is 'the tombstone: when a sweep found it gone';
comment on column contacts.content_hash is 'of the provider''s text; null makes the next sync write the row again';

-- Adopted rows. Their JSON may be anything: no object at all, an object where a name should be, a date
-- that is none.
create function pg_temp.text_in(jsonb, text) returns text language sql immutable as $$
    select case when jsonb_typeof($1 -> $2) in ('string', 'number') then nullif(btrim($1 ->> $2), '') end
$$;

create function pg_temp.time_in(jsonb, text) returns timestamptz language plpgsql as $$
begin
    return pg_temp.text_in($1, $2)::timestamptz;
exception when others then
    return null;
end $$;

update contacts c
   set ecosystem = coalesce(c.ecosystem, 'gohighlevel'),
       account = pg_temp.text_in(c.data, 'locationId'),
       first_name = pg_temp.text_in(c.data, 'firstName'),
       last_name = pg_temp.text_in(c.data, 'lastName'),
       name = coalesce(
           nullif(concat_ws(' ', pg_temp.text_in(c.data, 'firstName'), pg_temp.text_in(c.data, 'lastName')), ''),
           pg_temp.text_in(c.data, 'contactName'),
           pg_temp.text_in(c.data, 'name')),
       company = pg_temp.text_in(c.data, 'companyName'),
       email = lower(pg_temp.text_in(c.data, 'email')),
       phone = pg_temp.text_in(c.data, 'phone'),
       tags = case when jsonb_typeof(c.data -> 'tags') = 'array' then
           array(select lower(tag) from jsonb_array_elements_text(c.data -> 'tags') tag where tag <> '')
           else '{}' end,
       source = pg_temp.text_in(c.data, 'source'),
       assigned_to = pg_temp.text_in(c.data, 'assignedTo'),
       created_at = coalesce(c.created_at, pg_temp.time_in(c.data, 'dateAdded')),
       updated_at = coalesce(c.updated_at, pg_temp.time_in(c.data, 'dateUpdated'));

drop function pg_temp.time_in(jsonb, text);
drop function pg_temp.text_in(jsonb, text);

-- Lists: newest change first, page after page by (changed_at, id), gone contacts left out. A filter
-- that leaves few rows has an index in the same order, so that its first page is as cheap as any.
create index if not exists idx_contacts_changed on contacts (changed_at desc, id desc)
    where deleted_at is null;
create index if not exists idx_contacts_assigned on contacts (assigned_to, changed_at desc, id desc)
    where deleted_at is null and assigned_to is not null;
create index if not exists idx_contacts_source on contacts (lower(source), changed_at desc, id desc)
    where deleted_at is null and source is not null;
-- Tags: any of several; rare tags by this index, common ones by walking idx_contacts_changed.
create index if not exists idx_contacts_tags on contacts using gin (tags);
-- `--sort added` and `--sort name`, with their keysets.
create index if not exists idx_contacts_added on contacts (coalesce(created_at, to_timestamp(0)) desc, id desc)
    where deleted_at is null;
create index if not exists idx_contacts_name on contacts (lower(coalesce(name, '')), id)
    where deleted_at is null;

-- What a record was before it changed or vanished, whatever collection it belongs to.
create table record_history (
    id bigint generated always as identity primary key,
    collection text not null,
    record_id text not null,
    kind text not null check (kind in ('update', 'delete', 'return')),
    changed_at timestamptz,
    seen_at timestamptz not null default now(),
    run_id bigint,
    data jsonb not null
);
comment on column record_history.changed_at is 'the provider''s time of the version kept here';
comment on column record_history.seen_at is 'when we saw that it was no longer the current one';
comment on column record_history.data is 'the version before; of a return, the version the tombstone had kept';
create index record_history_record on record_history (collection, record_id, id desc);

-- Every run of a sync: what `sync-stats` shows and what a second process reads to know who is at work.
create table sync_runs (
    id bigint generated always as identity primary key,
    collection text not null,
    mode text not null check (mode in ('incremental', 'full')),
    state text not null check (state in ('running', 'done', 'stopped', 'failed', 'abandoned')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    host text not null,
    pid integer not null,
    resumed integer not null default 0,
    pages integer not null default 0,
    fetched bigint not null default 0,
    inserted bigint not null default 0,
    updated bigint not null default 0,
    unchanged bigint not null default 0,
    returned bigint not null default 0,
    deleted bigint not null default 0,
    held_back bigint not null default 0,
    api_calls integer not null default 0,
    since timestamptz,
    provider_total bigint,
    counted bigint,
    complete boolean,
    warnings text[] not null default '{}',
    error_kind text,
    error text
);
comment on column sync_runs.state is 'stopped: ended early and will be resumed; abandoned: will not be';
comment on column sync_runs.resumed is 'how often it was taken up again after a stop, a failure or a kill';
comment on column sync_runs.held_back is 'records missing at the provider that the brake kept from becoming tombstones';
comment on column sync_runs.counted is 'distinct records the run saw, to hold against provider_total';
create index sync_runs_collection on sync_runs (collection, id desc);

-- Where each collection stands. The checkpoint changes in the transaction that stores a page's rows,
-- so a killed run goes on exactly where its last committed page ended.
create table sync_state (
    collection text primary key,
    watermark timestamptz,
    last_success_at timestamptz,
    last_full_at timestamptz,
    last_run_id bigint,
    provider_total bigint,
    run_id bigint,
    cursor text,
    seen bigint not null default 0,
    total_low bigint,
    total_high bigint,
    newest timestamptz,
    last_first text,
    all_fetched boolean not null default false,
    checkpoint_at timestamptz
);
comment on column sync_state.watermark is 'newest provider time of change seen by a run that ended well; the next incremental run starts before it';
comment on column sync_state.last_success_at is 'start of the last run that ended well: the collection is as of then';
comment on column sync_state.run_id is 'the unfinished run the columns from here on belong to; null when there is none';
comment on column sync_state.seen is 'rows of sync_seen at the checkpoint: fewer are found when the server crashed and emptied it';
comment on column sync_state.last_first is 'first record of the last page, to notice a page that repeats itself';

-- The ids an unfinished run has seen: what is not in here at the end of a full sweep is gone. Unlogged,
-- because it is worth nothing after the run, and a crash that empties it is noticed by sync_state.seen.
-- Without an index: it is read once, whole, and keeping one up took as long as all the rest of a page.
create unlogged table sync_seen (
    run_id bigint not null,
    id text not null
);
