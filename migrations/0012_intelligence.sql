-- What `ghl insights` and `ghl recommend` read besides the rollups of 0009. (What was dismissed is in ghl_dismissed.)

-- The biggest groups of duplicates, without sorting all of them.
create index ghl_duplicates_biggest on ghl_duplicates (contacts desc, kind, key);
comment on column ghl_duplicates.kind is 'email or phone; name: the same whole name at the same company; of one row it is empty: when this was made';

-- How many groups of duplicates there are, and contacts in them: made with ghl_duplicates, in the same transaction.
create table ghl_duplicate_totals (
    kind text primary key,
    groups bigint not null,
    contacts bigint not null
);
comment on column ghl_duplicate_totals.contacts is 'in those groups, each counted once for each';

insert into ghl_duplicate_totals (kind, groups, contacts)
select kind, count(*), sum(contacts) from ghl_duplicates where kind <> '' group by kind;
