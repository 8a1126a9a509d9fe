-- A built-in schedule of a provider that the owner has no account with is not a failure.
alter table schedule_runs drop constraint schedule_runs_state_check;
alter table schedule_runs add constraint schedule_runs_state_check
    check (state in ('running', 'done', 'failed', 'missed', 'stopped', 'abandoned', 'skipped'));
comment on column schedule_runs.state is 'missed: too late when somebody looked; skipped: there is no account for it; stopped: its daemon was told to end, the next run goes on; abandoned: its daemon died, and nobody takes it over any more';
