-- Domains, their zones and their contacts. The tables of the system being replaced stay what they are
-- to their owner's queries; columns are added, and three tables it had are made where they are missing.

alter table godaddy_domains
    add column if not exists domain_id bigint,
    add column if not exists created_at timestamptz,
    add column if not exists renew_deadline timestamptz,
    add column if not exists locked boolean,
    add column if not exists privacy boolean,
    add column if not exists name_servers text[],
    add column if not exists content_hash bigint,
    add column if not exists deleted_at timestamptz,
    add column if not exists detail jsonb,
    add column if not exists detail_synced_at timestamptz,
    add column if not exists records_hash bigint,
    add column if not exists records_synced_at timestamptz,
    add column if not exists has_zone boolean;
comment on column godaddy_domains.domain is 'lower case, A-labels';
comment on column godaddy_domains.data is 'as the list of domains has it; never its contacts or its transfer code';
comment on column godaddy_domains.detail is 'as the domain by itself has it; never its contacts or its transfer code';
comment on column godaddy_domains.name_servers is 'null where they were not told';
comment on column godaddy_domains.deleted_at is 'the tombstone: when a sweep found it gone';
comment on column godaddy_domains.records_hash is 'of the zone''s text; null makes the next fetch write its records again';
comment on column godaddy_domains.records_synced_at is 'when the zone was last fetched, changed or not';
comment on column godaddy_domains.has_zone is 'false where GoDaddy keeps no zone of the domain';

alter table godaddy_dns_records
    add column if not exists priority integer,
    add column if not exists weight integer,
    add column if not exists port integer,
    add column if not exists service text,
    add column if not exists protocol text,
    add column if not exists place integer,
    add column if not exists body jsonb;
comment on column godaddy_dns_records.place is 'its place in the provider''s answer';
comment on column godaddy_dns_records.body is 'as the provider gave it; null in rows of the system that was replaced';

-- A TXT may be longer than the 500 characters the column has. Where a view of the owner's stands in the
-- way it stays as it is and holds the beginning; `body` has all of it.
do $$
begin
    alter table godaddy_dns_records alter column data type text;
exception when feature_not_supported or insufficient_privilege then
    raise notice 'godaddy_dns_records.data keeps its length';
end $$;

create table if not exists godaddy_subdomains (
    id serial primary key,
    domain varchar(255) references godaddy_domains (domain)
);
comment on table godaddy_subdomains is 'Names below a domain and where they point, made from its records';
alter table godaddy_subdomains
    add column if not exists domain varchar(255),
    add column if not exists subdomain text,
    add column if not exists fqdn text,
    add column if not exists record_types text[],
    add column if not exists points_to text[],
    add column if not exists wildcard boolean,
    add column if not exists last_synced timestamptz default now();

create table if not exists godaddy_domain_contacts (
    id serial primary key,
    domain varchar(255) references godaddy_domains (domain)
);
comment on table godaddy_domain_contacts is 'The four contact roles of each domain: personal data';
alter table godaddy_domain_contacts
    add column if not exists domain varchar(255),
    add column if not exists role text,
    add column if not exists first_name text,
    add column if not exists last_name text,
    add column if not exists organization text,
    add column if not exists email text,
    add column if not exists phone text,
    add column if not exists data jsonb,
    add column if not exists last_synced timestamptz default now();
comment on column godaddy_domain_contacts.role is 'registrant, admin, billing or tech';

create table if not exists godaddy_sync_history (
    id serial primary key
);
comment on table godaddy_sync_history is 'What each sync of domains and zones did; sync_runs has the details';
alter table godaddy_sync_history
    add column if not exists run_id bigint,
    add column if not exists collection text,
    add column if not exists mode text,
    add column if not exists status text,
    add column if not exists fetched bigint,
    add column if not exists added bigint,
    add column if not exists updated bigint,
    add column if not exists deleted bigint,
    add column if not exists api_calls integer,
    add column if not exists started_at timestamptz,
    add column if not exists finished_at timestamptz;

-- Of these three only the names are known. A column of theirs that we do not fill must not keep rows out.
do $$
declare
    it record;
begin
    for it in
        select c.relname as tab, a.attname as col
          from pg_class c
          join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = current_schema()::regnamespace
           and c.relname in ('godaddy_subdomains', 'godaddy_domain_contacts', 'godaddy_sync_history')
           and a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
           and not exists (
               select from pg_index i where i.indrelid = c.oid and i.indisprimary and a.attnum = any (i.indkey))
    loop
        execute format('alter table %I alter column %I drop not null', it.tab, it.col);
    end loop;
end $$;

create index if not exists idx_godaddy_domains_live on godaddy_domains (domain) where deleted_at is null;
create index if not exists idx_godaddy_subdomains_domain on godaddy_subdomains (domain);
create index if not exists idx_godaddy_domain_contacts_domain on godaddy_domain_contacts (domain);
