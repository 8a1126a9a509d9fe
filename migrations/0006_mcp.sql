-- API keys of the MCP server: random enough that a plain hash tells nothing, so none is ever stored.
create table api_keys (
    name text primary key,
    hash bytea not null unique,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
comment on table api_keys is 'Who may use the MCP server from another machine';
comment on column api_keys.hash is 'SHA-256 of the key';
