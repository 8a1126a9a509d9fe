-- Reaching a provider: what it allows, whether it is well, what was asked of it, and the credentials it wants.
--
-- A service is named as in commands (`ghl`); an account is whatever the provider counts its limits by
-- (a location, a shop, a realm). Times here are the Postgres clock's, so that all processes agree.

-- One row per service and account, shared by every process: the rate budget and the circuit breaker.
-- They are one row because every request has to ask both, and one statement is cheaper than two.
create table provider_gates (
    service text not null,
    account text not null,

    -- What the provider said about itself; null until it did, and then the declared limit holds.
    max_requests integer check (max_requests > 0),
    window_ms integer check (window_ms > 0),
    daily_limit bigint,
    daily_remaining bigint,
    daily_resets_at timestamptz,

    -- Rate budget (GCRA): the time at which the next request would be due if all came evenly spaced.
    due_at timestamptz not null default '-infinity',
    -- The provider answered 429: nobody asks before this.
    blocked_until timestamptz,

    -- Circuit breaker: failures in a row, how often it opened since the last success, until when it
    -- stays open (null is closed; a time gone by is half open), and until when one process is probing.
    failures integer not null default 0,
    trips integer not null default 0,
    open_until timestamptz,
    probe_until timestamptz,
    last_failure text,

    -- When the row was last read for a reservation; lying in the future means the clock was set back.
    reserved_at timestamptz not null default clock_timestamp(),

    primary key (service, account)
)
-- Every request updates its row without touching an index: room on the page keeps that update there.
with (fillfactor = 50);
comment on table provider_gates is 'Rate budget and circuit breaker of one account at one provider';

-- Every attempt to reach a provider is one row. The columns of old stay as they were.
alter table api_calls
    add column if not exists execution_id bigint,
    add column if not exists account text,
    add column if not exists attempt integer,
    add column if not exists error_kind text,
    add column if not exists request_id text,
    add column if not exists bytes bigint;
comment on column api_calls.endpoint is 'The path as a template, such as /contacts/{id}: no ids, no query, nobody''s data';
comment on column api_calls.error_kind is 'What went wrong; null when nothing did, cancelled when nobody waited for the answer';
comment on column api_calls.request_id is 'The provider''s own name for the request, to quote to its support';
comment on column api_calls.bytes is 'Length of the answer''s body, unpacked';
create index if not exists idx_api_calls_execution on api_calls (execution_id) where execution_id is not null;

-- What `medtainer auth login` was given, each value encrypted by itself (XChaCha20-Poly1305).
-- The ciphertext is bound to business, service, account and field, so that a row moved elsewhere does not open.
create table credentials (
    service text not null,
    account text not null default 'default',
    field text not null,
    nonce bytea not null,
    ciphertext bytea not null,
    -- A fingerprint of the key, to say which one is missing.
    key_id text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (service, account, field)
);
comment on table credentials is 'Credentials stored by auth login, encrypted with a key that is not in this database';
