-- The most a key is good for: a client may have less of it, and never more. Where a bound is null there
-- is none, as with every key from before.
alter table api_keys
    add column businesses text[],
    add column tools text[],
    add column effect text check (effect in ('read', 'write', 'destroy')),
    add column masked text[],
    add column rate integer check (rate > 0),
    add column rate_seconds integer check (rate_seconds > 0),
    add column expires_at timestamptz,
    add column due_at timestamptz,
    add constraint a_rate_is_whole check ((rate is null) = (rate_seconds is null));
comment on column api_keys.businesses is 'The businesses it may work for; null is the one of the server it is shown to';
comment on column api_keys.tools is 'Groups of commands, and single tools; null is all of them';
comment on column api_keys.effect is 'The worst that its commands may do';
comment on column api_keys.masked is 'The classes of personal data it does not get to see';
comment on column api_keys.due_at is 'When the next call would be due if calls came evenly: all replicas count here';
