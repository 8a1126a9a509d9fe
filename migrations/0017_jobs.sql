-- Calls that outlast their caller's patience. The row is committed before anybody is told its id, so a handle
-- is never about nothing; the process that works on it renews its lease, and when that has passed another one
-- goes on with what only reads or can be repeated. A write is never begun twice: its ledger tells what became of
-- it. Times are the Postgres clock's.
create table jobs (
    number bigint generated always as identity primary key,
    id uuid not null unique,
    owner text not null,
    principal text,
    command text[] not null check (cardinality(command) > 0),
    effect text not null,
    repeatable boolean not null,
    arguments text,
    state text not null default 'running'
        check (state in ('running', 'done', 'failed', 'cancelled', 'interrupted')),
    step_done bigint,
    step_total bigint,
    step_message text,
    cancel_asked_at timestamptz,
    claim uuid,
    claimed_by text,
    lease_until timestamptz,
    deaths integer not null default 0,
    execution_id bigint,
    answer text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    expires_at timestamptz,
    check ((state = 'running') = (lease_until is not null)),
    check ((state = 'running') = (finished_at is null)),
    check ((state = 'running') = (expires_at is null)),
    check (repeatable or arguments is null)
);
create index jobs_running on jobs (lease_until) where state = 'running';
create index jobs_expiring on jobs (expires_at) where state <> 'running';
create index jobs_of_an_owner on jobs (owner, number);
comment on table jobs is 'Calls that go on after their caller was given a handle, and their answers for a day';
comment on column jobs.id is 'Random: whoever is to know it was told';
comment on column jobs.owner is 'The only one it exists for: local, key:NAME or oauth:GRANT';
comment on column jobs.command is 'The words that name the command';
comment on column jobs.repeatable is 'Whether another process may begin it anew when this one dies';
comment on column jobs.arguments is 'JSON, as they came, for whoever begins it anew; gone when it has ended';
comment on column jobs.state is 'interrupted: its process died and nobody begins it anew';
comment on column jobs.claim is 'Drawn by each process that takes it on; one that lost it writes no more';
comment on column jobs.claimed_by is 'host:pid of that process; null when it was handed back';
comment on column jobs.lease_until is 'Renewed while its process lives; once it has passed, another takes the job over';
comment on column jobs.deaths is 'How many processes died while they were at it';
comment on column jobs.execution_id is 'Its row in tool_executions';
comment on column jobs.answer is 'The envelope that the call would have been answered with, as JSON';
comment on column jobs.expires_at is 'When it is forgotten';
