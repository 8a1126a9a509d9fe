-- What was done at providers, and what waits to be allowed. A row is committed before its request leaves.
create table writes (
    id bigint primary key,
    run uuid not null unique,
    ecosystem text not null,
    account text,
    command text not null,
    caller text not null,
    principal text,
    effect text not null,
    title text not null,
    target text not null,
    state text not null check (state in ('planned', 'approved', 'sent', 'confirmed', 'rejected', 'unknown', 'undone')),
    hash text not null,
    plan json not null,
    waits boolean not null,
    planned_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    approved_at timestamptz,
    approved_by text,
    executed_by bigint,
    sent_at timestamptz,
    lease_until timestamptz,
    host text,
    pid integer,
    steps_begun integer not null default 0,
    answers json[] not null default '{}',
    finished_at timestamptz,
    note text,
    undo_of bigint,
    undone_by bigint
);
comment on column writes.id is 'the call that planned it: its row in tool_executions';
comment on column writes.run is 'a name the write may leave at the provider, to be found again by';
comment on column writes.target is 'kind and id: writes to one target happen one after the other';
comment on column writes.hash is 'of the canonical plan with account and command: what an approval is bound to';
comment on column writes.plan is 'the exact requests, the looks before and after, the inverse';
comment on column writes.waits is 'whether a person has to approve it';
comment on column writes.expires_at is 'until when it can be approved, then until when the approval can be used';
comment on column writes.executed_by is 'the call that used the approval, where that was another one';
comment on column writes.lease_until is 'who sends renews it; after it, anybody may look up what became of the write';
comment on column writes.steps_begun is 'more than there are answers: a request left whose answer nobody has';
comment on column writes.undo_of is 'the write that this one takes back';

-- One at a time for each target, over all processes.
create unique index writes_target_claimed on writes (ecosystem, coalesce(account, ''), target) where state = 'sent';
-- A request that waits is asked for once.
create unique index writes_waiting on writes (hash) where waits and state in ('planned', 'approved');
create index writes_state on writes (state, id desc);
create index writes_target on writes (ecosystem, target, id desc);
create index writes_executed_by on writes (executed_by) where executed_by is not null;

-- The whole of a thing before a write changed a part of it: what a rollback goes back to.
create table snapshots (
    id bigint generated always as identity primary key,
    collection text not null,
    key text not null,
    taken_at timestamptz not null default clock_timestamp(),
    write_id bigint not null references writes (id),
    data jsonb not null
);
create index snapshots_key on snapshots (collection, key, id desc);

-- A write makes what is cached of a collection out of date.
alter table sync_state add column touched_at timestamptz;
comment on column sync_state.touched_at is 'when we last wrote to the collection at its provider: what was fetched before is stale';
