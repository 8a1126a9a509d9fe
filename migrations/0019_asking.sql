-- Who asked for a write: the same plan of another one has to be approved anew.
alter table writes add column owner text;
comment on column writes.owner is 'what the caller is known by, beside its name: its key or its login; none at a terminal';

drop index writes_waiting;
-- A request that waits is asked for once, by each.
create unique index writes_waiting on writes (hash, coalesce(owner, ''), coalesce(principal, ''))
    where waits and state in ('planned', 'approved');

-- Keys that the replicas of a server share: what one of them seals, another opens.
create table mcp_secrets (
    name text primary key,
    secret bytea not null,
    created_at timestamptz not null default now()
);

-- A person's yes that came back with a call, so that it counts once.
create table mcp_answers (
    seal uuid primary key,
    used_at timestamptz not null default now()
);
create index mcp_answers_used on mcp_answers (used_at);
