-- Search of people: what `src/people/` looks in. Everything here is derived from contacts and
-- contact_context and can be made anew by putting every contact into people_stale.

alter table contact_context add column if not exists aliases text[];

comment on column contact_context.aliases is
    'other names the owner uses for this person; found like a name';

-- One row per contact that can be found. Text is folded by the program (no accents, lower case), so
-- that no statement folds; `keys` holds a hash of every word, e-mail part, phone tail and initial.
-- A GIN index over those takes a page of contacts at a third of the price of a table of postings, and
-- intersects rare with frequent words without reading either whole.
create table if not exists people (
    contact_id varchar(100) primary key,
    name text collate "C" not null,
    company text collate "C" not null,
    emails text collate "C" not null,
    phones text collate "C" not null,
    taught text collate "C" not null,
    -- Hash of the whole name, whatever the order of its words.
    name_key integer not null,
    keys integer[] not null,
    importance integer not null default 0,
    -- The last change or interaction: of equals, the more recent is meant.
    seen timestamptz
);
comment on table people is 'search index of contacts, one row each; derived, see people_stale';

-- New entries wait in a short list that every search reads: long enough to be merged in bulk, short
-- enough not to be noticed. The end of a sync merges what is left.
create index if not exists people_keys on people using gin (keys) with (gin_pending_list_limit = 1024);
-- Thousands may be called John Smith: the most important and most recent come first without a sort.
create index if not exists people_name on people (name_key, importance desc, seen desc nulls last);

-- Every distinct word of a name or company, once: misspelled and misheard words are looked up here,
-- where there are a hundred times fewer rows than contacts have words.
create table if not exists people_words (
    word text collate "C" primary key,
    -- Hashes of its halves and thirds.
    near integer[] not null,
    -- How it sounds (double metaphone), for words in Latin letters.
    sounds text[] not null,
    -- How common it is, estimated from a sample of the contacts.
    weight integer not null default 0
) with (fillfactor = 80);
comment on table people_words is 'vocabulary of names and companies with near spellings and sounds';

create index if not exists people_words_near on people_words using gin (near, sounds)
    with (gin_pending_list_limit = 256);

-- Contacts whose row in people is missing or older than what it is made from. The page of a sync
-- indexes its own rows and does not pass through here; everybody else's changes do.
create table if not exists people_stale (
    contact_id varchar(100) primary key,
    queued_at timestamptz not null default now()
);
comment on table people_stale is 'contacts to index before the next search';

-- The update on conflict is a lock: whoever is just indexing this contact is waited for.
create or replace function people_mark_stale() returns trigger language plpgsql as $$
declare
    changed text[];
begin
    if tg_table_name = 'contacts' then
        changed := case tg_op when 'DELETE' then array[old.id] else array[new.id] end;
    else
        changed := case tg_op
            when 'DELETE' then array[old.contact_id]
            when 'INSERT' then array[new.contact_id]
            else array[old.contact_id, new.contact_id]
        end;
    end if;
    -- The table beside the one that changed, whatever the writer's search_path.
    execute format(
        'insert into %I.people_stale (contact_id)
         select distinct id from unnest($1) id where id is not null order by id
         on conflict (contact_id) do update set queued_at = excluded.queued_at',
        tg_table_schema) using changed;
    return null;
end $$;

-- `medtainer.indexes` is set by a transaction that indexes the contacts it writes.
create or replace trigger people_contacts_changed
    after insert or delete or update of data, name, first_name, last_name, company, email, phone, updated_at, deleted_at
    on contacts for each row
    when (current_setting('medtainer.indexes', true) is distinct from 'on')
    execute function people_mark_stale();

create or replace trigger people_context_changed
    after insert or delete or update on contact_context for each row
    execute function people_mark_stale();

-- A database that is adopted has contacts already.
insert into people_stale (contact_id)
select id from contacts where deleted_at is null
on conflict (contact_id) do nothing;
