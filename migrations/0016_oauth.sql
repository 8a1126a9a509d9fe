-- The authorization server of the MCP face: clients, what the owner allowed them, and the tokens that
-- came of it. Codes, tokens, secrets and browser logins are random enough that a plain hash tells
-- nothing, so none of them is ever stored; times are the database's, which all servers share.

create table oauth_clients (
    id text primary key,
    kind text not null check (kind in ('registered', 'document', 'given')),
    name text not null,
    redirect_uris text[] not null,
    auth_method text not null check (auth_method in ('none', 'client_secret_post', 'client_secret_basic')),
    secret_hash bytea,
    fingerprint bytea,
    created_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    revoked_at timestamptz,
    check ((auth_method = 'none') = (secret_hash is null))
);
comment on table oauth_clients is 'Programs that may ask the owner for access';
comment on column oauth_clients.kind is 'registered: by itself; document: its id is the address of its description; given: added by the owner';
comment on column oauth_clients.fingerprint is 'SHA-256 of what a public client registered: the same registration again is the same client';
comment on column oauth_clients.seen_at is 'When it last registered or was allowed something';
create unique index oauth_clients_fingerprint on oauth_clients (fingerprint)
    where revoked_at is null and fingerprint is not null;

create table oauth_consents (
    id uuid primary key default gen_random_uuid(),
    client_id text not null references oauth_clients on delete cascade,
    scopes text[] not null,
    created_at timestamptz not null default now(),
    given_at timestamptz not null default now(),
    used_at timestamptz,
    revoked_at timestamptz
);
comment on table oauth_consents is 'What the owner allowed a client; one at a time is in force';
comment on column oauth_consents.scopes is 'What was allowed last';
comment on column oauth_consents.used_at is 'When a token of it was last used, to the minute';
create unique index oauth_consents_in_force on oauth_consents (client_id) where revoked_at is null;
create index oauth_consents_client on oauth_consents (client_id);

create table oauth_families (
    id uuid primary key default gen_random_uuid(),
    consent_id uuid not null references oauth_consents on delete cascade,
    resource text not null,
    scopes text[] not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    ended_because text check (ended_because in ('code_reused', 'token_reused', 'revoked'))
);
comment on table oauth_families is 'All tokens that descend from one login';
comment on column oauth_families.resource is 'The address of the server the tokens are for';
create index oauth_families_consent on oauth_families (consent_id);

create table oauth_codes (
    hash bytea primary key,
    consent_id uuid not null references oauth_consents on delete cascade,
    redirect_uri text not null,
    challenge text not null,
    resource text not null,
    scopes text[] not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    family_id uuid references oauth_families on delete set null
);
comment on table oauth_codes is 'Authorization codes; used ones are kept for a day, so that a second use is noticed';
create index oauth_codes_consent on oauth_codes (consent_id);
create index oauth_codes_family on oauth_codes (family_id);

create table oauth_tokens (
    hash bytea primary key,
    family_id uuid not null references oauth_families on delete cascade,
    kind text not null check (kind in ('access', 'refresh')),
    scopes text[] not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    replaced_at timestamptz,
    successor bytea
);
comment on table oauth_tokens is 'Access and refresh tokens';
comment on column oauth_tokens.successor is 'The pair that replaced this refresh token, encrypted with a key made of the token itself: who presents it again in time is told the same pair';
create index oauth_tokens_family on oauth_tokens (family_id);
create index oauth_tokens_expiry on oauth_tokens (expires_at);

create table oauth_owner (
    only_one boolean primary key default true check (only_one),
    passphrase text,
    passphrase_set_at timestamptz,
    signing_key bytea not null
);
comment on table oauth_owner is 'The passphrase that consent is given with, as argon2id, and the key that signs forms';

create table oauth_logins (
    hash bytea primary key,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
comment on table oauth_logins is 'Browsers in which the owner has typed the passphrase';

create table oauth_attempts (
    id bigint generated always as identity primary key,
    address text not null,
    at timestamptz not null default now()
);
comment on table oauth_attempts is 'Passphrases tried in the last hour, so that nobody guesses on several servers at once';
create index oauth_attempts_at on oauth_attempts (at);
