-- What runs by itself, and what became of it. Daemons hold nothing in memory that matters: any number of
-- them look at these tables, and whoever locks a due row first runs it. Times are the Postgres clock's.

-- One row per schedule, written from the built-in ones and the configuration whenever a daemon starts;
-- the last one that started decides. Rows are switched off, never deleted: their runs are history.
create table schedules (
    name text primary key,
    command text[] not null check (cardinality(command) > 0),
    cron text not null,
    timezone text not null,
    enabled boolean not null,
    grace_seconds bigint check (grace_seconds >= 60),
    next_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    check (enabled or next_at is null)
);
comment on table schedules is 'What the daemon runs, and when it is due next';
comment on column schedules.command is 'Its words, as on the command line';
comment on column schedules.cron is 'Five fields, in the IANA time zone beside it';
comment on column schedules.grace_seconds is 'A run this late is skipped and recorded as missed; null is one period, at most a day';
comment on column schedules.next_at is 'When it is due; null is never. Set it to now() to have it run at once';

-- One row per occurrence that somebody took on or gave up. The two unique indexes are what makes
-- "never twice" and "never beside itself" true, whatever the daemons believe.
create table schedule_runs (
    id bigint generated always as identity primary key,
    schedule text not null references schedules (name),
    scheduled_for timestamptz not null,
    collapsed integer not null default 0,
    by_hand boolean not null default false,
    state text not null check (state in ('running', 'done', 'failed', 'missed', 'stopped', 'abandoned')),
    claimed_by text,
    lease_until timestamptz,
    attempts integer not null default 1,
    started_at timestamptz,
    finished_at timestamptz,
    exit_code smallint,
    execution_id bigint,
    error_kind text,
    message text,
    unique (schedule, scheduled_for),
    check ((state = 'running') = (lease_until is not null)),
    check ((state = 'running') = (finished_at is null))
);
create unique index schedule_runs_running on schedule_runs (schedule) where state = 'running';
comment on table schedule_runs is 'What became of each occurrence of a schedule, for ninety days';
comment on column schedule_runs.collapsed is 'Earlier occurrences that nobody ran and this one stands for';
comment on column schedule_runs.by_hand is 'A person asked for it (sync run): nobody takes it over';
comment on column schedule_runs.state is 'missed: too late when somebody looked; stopped: its daemon was told to end, the next run goes on; abandoned: its daemon died, and nobody takes it over any more';
comment on column schedule_runs.claimed_by is 'host:pid of the process that runs it';
comment on column schedule_runs.lease_until is 'Renewed while its process lives; once it has passed, another takes the run over';
comment on column schedule_runs.attempts is 'How many processes took it on; also tells a process that it was taken for dead';
comment on column schedule_runs.execution_id is 'Its row in tool_executions';
