-- What GoHighLevel has besides contacts: deals, conversations, messages, notes, tasks, appointments. (Users, pipelines,
-- calendars and the location are few and live in `records`.)
--
-- Tables are filled by `ghl sync` a page at a time, and by whatever fetches one contact's things. Each keeps the
-- provider's JSON in `data`, what is filtered, joined and summed in columns, and a tombstone instead of deleting.
-- Everywhere: `content_hash` tells whether the text changed; `last_synced` is when this version of the row came, an
-- unchanged one is not rewritten (how fresh a collection is: `sync_state`, how fresh one contact's things: `ghl_fetched`);
-- `deleted_at` is when the row was found gone. A null in a column is what the provider did not tell.

-- Deals, as GoHighLevel calls opportunities. Filled by the sync of `ghl.opportunities`.
create table ghl_opportunities (
    id text primary key,
    contact_id text,
    pipeline_id text,
    stage_id text,
    status text,
    value numeric,
    name text,
    source text,
    assigned_to text,
    lost_reason_id text,
    created_at timestamptz,
    updated_at timestamptz,
    stage_changed_at timestamptz,
    status_changed_at timestamptz,
    data jsonb not null,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz
);
comment on column ghl_opportunities.status is 'open, won, lost or abandoned';
comment on column ghl_opportunities.value is 'in the currency of the location, which the provider does not repeat here; it says 0 where nobody entered a value';
comment on column ghl_opportunities.assigned_to is 'a user''s id';
comment on column ghl_opportunities.stage_changed_at is 'the provider''s time of the last change of stage: how long it has been in this one';
comment on column ghl_opportunities.status_changed_at is 'the provider''s time of the last change of status: when it was won or lost';
create index ghl_opportunities_contact on ghl_opportunities (contact_id) where deleted_at is null;
create index ghl_opportunities_changed on ghl_opportunities (updated_at desc, id desc) where deleted_at is null;
create index ghl_opportunities_name on ghl_opportunities (lower(name) collate "C", id) where deleted_at is null;
-- What is stuck: the open deals of a pipeline, the longest in their stage first.
create index ghl_opportunities_stuck on ghl_opportunities (pipeline_id, stage_changed_at, id)
    where status = 'open' and deleted_at is null;
-- What matters most: open deals by value.
create index ghl_opportunities_value on ghl_opportunities (value desc nulls last, id)
    where status = 'open' and deleted_at is null;

-- Every change of stage, pipeline or status of a deal that we saw: the provider tells only the last. Written by a trigger
-- whenever a row of ghl_opportunities changes, whoever writes it, in the same transaction; never updated.
-- It begins with our first sync: conversion and time in stage are of what was seen since.
create table ghl_stage_changes (
    id bigint generated always as identity primary key,
    opportunity_id text not null,
    contact_id text,
    from_pipeline_id text,
    from_stage_id text,
    from_status text,
    to_pipeline_id text,
    to_stage_id text,
    to_status text,
    value numeric,
    entered_at timestamptz,
    changed_at timestamptz,
    seen_at timestamptz not null default now()
);
comment on column ghl_stage_changes.entered_at is 'the provider''s time at which the deal had come into the stage it was in before';
comment on column ghl_stage_changes.changed_at is 'the provider''s time of the change; several changes between two syncs are one row with the time of the last';
comment on column ghl_stage_changes.seen_at is 'when a sync saw it';
create index ghl_stage_changes_deal on ghl_stage_changes (opportunity_id, id);
create index ghl_stage_changes_contact on ghl_stage_changes (contact_id, id);
create index ghl_stage_changes_from on ghl_stage_changes (from_stage_id, seen_at);

-- Threads, one for a contact as a rule: who wrote last, and when. Filled by the sync of `ghl.conversations`.
create table ghl_conversations (
    id text primary key,
    contact_id text,
    last_message_at timestamptz,
    last_direction text,
    last_type text,
    unread integer,
    assigned_to text,
    created_at timestamptz,
    updated_at timestamptz,
    data jsonb not null,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz
);
comment on column ghl_conversations.last_direction is 'inbound: they wrote last and wait; outbound: we did';
comment on column ghl_conversations.last_type is 'as messages have it, such as TYPE_SMS';
comment on column ghl_conversations.unread is 'as of last_synced: reading a message changes no time, so an incremental sync does not see it';
create index ghl_conversations_contact on ghl_conversations (contact_id) where deleted_at is null;
-- Who waits for an answer, the longest first; whom nobody wrote to, the same way.
create index ghl_conversations_last on ghl_conversations (last_direction, last_message_at, id) where deleted_at is null;

-- Messages of every channel. Filled by the sync of `ghl.messages` and by `ghl history WHO`.
create table ghl_messages (
    id text primary key,
    contact_id text,
    conversation_id text,
    sent_at timestamptz,
    channel text,
    direction text,
    automated boolean,
    status text,
    user_id text,
    updated_at timestamptz,
    data jsonb not null,
    email jsonb,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz
);
comment on column ghl_messages.channel is 'messageType without TYPE_, in lower case: sms, email, call, whatsapp, activity_opportunity, …';
comment on column ghl_messages.direction is 'inbound or outbound';
comment on column ghl_messages.automated is 'sent by a workflow, a campaign or a bulk action, not by a person';
comment on column ghl_messages.email is 'of an e-mail: subject, body, from, to, which cost a request each and are fetched when somebody looks; null is not fetched';
create index ghl_messages_contact on ghl_messages (contact_id, sent_at desc, id desc) where deleted_at is null;

-- Questions: the first message of theirs after ours, and our first answer by a person. Derived from ghl_messages by a
-- trigger, anew for every contact whose messages change.
create table ghl_replies (
    contact_id text not null,
    asked_at timestamptz not null,
    message_id text not null,
    answered_at timestamptz,
    primary key (contact_id, asked_at, message_id)
);
comment on column ghl_replies.message_id is 'the question';
comment on column ghl_replies.answered_at is 'null: nobody has answered yet';
create index ghl_replies_waiting on ghl_replies (asked_at) where answered_at is null;

-- Notes of contacts. The provider lists them only contact by contact: filled for a few contacts in each sync (those with
-- open deals first), and for one by `ghl history WHO`. Whose notes are known: ghl_fetched.
create table ghl_notes (
    id text primary key,
    contact_id text,
    user_id text,
    written_at timestamptz,
    updated_at timestamptz,
    data jsonb not null,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz
);
create index ghl_notes_contact on ghl_notes (contact_id, written_at desc, id desc) where deleted_at is null;

-- Tasks. Filled by the sync of `ghl.tasks` (open ones each time, all of them in a full sweep) and by `ghl history WHO`.
create table ghl_tasks (
    id text primary key,
    contact_id text,
    title text,
    due_at timestamptz,
    completed boolean,
    assigned_to text,
    updated_at timestamptz,
    first_seen_at timestamptz not null default now(),
    completed_seen_at timestamptz,
    data jsonb not null,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz
);
comment on column ghl_tasks.first_seen_at is 'our time: the provider does not tell when a task was made';
comment on column ghl_tasks.completed_seen_at is 'our time at which it was first seen completed; null when it was so from the beginning, or is not';
create index ghl_tasks_contact on ghl_tasks (contact_id, due_at desc, id desc) where deleted_at is null;
create index ghl_tasks_due on ghl_tasks (due_at, id) where not completed and deleted_at is null;

create function ghl_task_completed() returns trigger language plpgsql as $$
begin
    new.completed_seen_at := case
        when new.completed is not true then null
        when old.completed then old.completed_seen_at
        else now() end;
    return new;
end $$;

create trigger ghl_task_completed before update on ghl_tasks for each row execute function ghl_task_completed();

-- Appointments in calendars. Filled by the sync of `ghl.appointments`, from a year back to half a year ahead, and by
-- `ghl history WHO`.
create table ghl_appointments (
    id text primary key,
    contact_id text,
    calendar_id text,
    title text,
    status text,
    starts_at timestamptz,
    ends_at timestamptz,
    assigned_to text,
    updated_at timestamptz,
    data jsonb not null,
    content_hash bigint,
    last_synced timestamptz not null default now(),
    deleted_at timestamptz
);
comment on column ghl_appointments.status is 'new, confirmed, showed, noshow, cancelled, invalid';
create index ghl_appointments_contact on ghl_appointments (contact_id, starts_at desc, id desc) where deleted_at is null;
create index ghl_appointments_start on ghl_appointments (starts_at, id) where deleted_at is null;

-- Whose things were fetched one contact at a time, and when. No row: never; what is not known is not none.
create table ghl_fetched (
    contact_id text not null,
    part text not null check (part in ('messages', 'notes', 'tasks', 'appointments')),
    fetched_at timestamptz not null,
    complete boolean not null,
    primary key (contact_id, part)
);
comment on column ghl_fetched.complete is 'whether all there is was fetched; false when a long history was cut';
create index ghl_fetched_oldest on ghl_fetched (part, fetched_at);

-- The table of the system being replaced takes what is found from now on, under what it came from.
alter table interaction_history add column if not exists record text;
comment on column interaction_history.record is 'what the row was made from, such as message:ID; null: written by the old system';
create unique index if not exists interaction_history_record on interaction_history (record);

-- E-mail addresses and phone numbers that several live contacts share. Made anew by `ghl sync` when contacts changed,
-- since it takes a second at a million contacts; `rolled_at` of the row ('', '') says as of when.
create table ghl_duplicates (
    kind text not null,
    key text not null,
    contacts integer not null,
    ids text[] not null,
    rolled_at timestamptz not null default now(),
    primary key (kind, key)
);
comment on column ghl_duplicates.kind is 'email or phone; of one row it is empty: when this was made';
comment on column ghl_duplicates.ids is 'at most ten of the contacts';

-- Counts and sums over the tables above and over contacts, kept by triggers in the transaction that changes a row, so that a
-- digest of a million contacts reads a few hundred rows. What each measure counts is written in the functions below, which
-- both the triggers and `ghl_rollup_truth` use; `ghl sync --full` compares the two.
create table ghl_rollups (
    measure text not null,
    day date not null,
    a text not null,
    b text not null,
    c text not null,
    count bigint not null,
    value numeric not null,
    seconds numeric not null,
    primary key (measure, day, a, b, c)
) with (fillfactor = 70);
comment on column ghl_rollups.day is 'in UTC; 0001-01-01 where the measure has no day, or the row told none';
comment on column ghl_rollups.a is 'the measure''s first key, empty where a row told none; likewise b and c';
comment on column ghl_rollups.count is 'rows; 0 is the same as no row here';
comment on column ghl_rollups.value is 'sum of money, or of unread messages';
comment on column ghl_rollups.seconds is 'sum of lengths of time, or of times as seconds since 1970';

create function ghl_day(timestamptz) returns date language sql immutable parallel safe
    return coalesce(($1 at time zone 'UTC')::date, '0001-01-01'::date);

create function ghl_epoch(timestamptz) returns numeric language sql immutable parallel safe
    return coalesce(extract(epoch from $1), 0);

-- Deals:
--   deal.stage    pipeline, stage, status
--   deal.age      pipeline, stage: open deals whose time of entry is known; seconds: those times
--   deal.entered  pipeline, stage, by day of entry: open deals
--   deal.source   source, status
--   deal.owner    user, status
--   deal.created  pipeline, by day
--   deal.closed   pipeline, status, by day of the status: what is not open; seconds: from creation to then
create function ghl_measures_of_deal(
    pipeline text, stage text, status text, source text, owner text, worth numeric,
    created timestamptz, entered timestamptz, decided timestamptz)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select measure, day, coalesce(a, ''), coalesce(b, ''), coalesce(c, ''), 1, coalesce(worth, 0), seconds
      from (values
        ('deal.stage', '0001-01-01'::date, pipeline, stage, status, 0::numeric, true),
        ('deal.age', '0001-01-01'::date, pipeline, stage, null, ghl_epoch(entered), status = 'open' and entered is not null),
        ('deal.entered', ghl_day(entered), pipeline, stage, null, 0, status = 'open'),
        ('deal.source', '0001-01-01'::date, lower(source), null, status, 0, true),
        ('deal.owner', '0001-01-01'::date, owner, null, status, 0, true),
        ('deal.created', ghl_day(created), pipeline, null, null, 0, true),
        ('deal.closed', ghl_day(decided), pipeline, null, status, ghl_epoch(decided) - ghl_epoch(created), status <> 'open')
      ) as m (measure, day, a, b, c, seconds, holds)
     where holds
$$;

-- Changes of stage:
--   stage.exit  stage left, stage entered, status afterwards
--   stage.time  stage left: changes of which both times are known; seconds: the time in it
create function ghl_measures_of_change(
    from_stage text, to_stage text, to_status text, worth numeric, entered timestamptz, changed timestamptz)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select measure, '0001-01-01'::date, coalesce(a, ''), coalesce(b, ''), coalesce(c, ''), 1, coalesce(worth, 0), seconds
      from (values
        ('stage.exit', from_stage, to_stage, to_status, 0::numeric, true),
        ('stage.time', from_stage, null, null, ghl_epoch(changed) - ghl_epoch(entered), changed >= entered)
      ) as m (measure, a, b, c, seconds, holds)
     where holds
$$;

-- Contacts:
--   contact.added  source, by day
--   contact.owner  user
--   contact.tag    tag
--   contact.gap    all, no_name, no_email, no_phone, unreachable (neither), no_source, no_owner, no_tags
create function ghl_measures_of_contact(
    created timestamptz, source text, owner text, tags text[], name text, email text, phone text)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select measure, day, coalesce(a, ''), '', '', 1, 0::numeric, 0::numeric
      from (values
        ('contact.added', ghl_day(created), lower(source), true),
        ('contact.owner', '0001-01-01'::date, owner, true),
        ('contact.gap', '0001-01-01'::date, 'all', true),
        ('contact.gap', '0001-01-01'::date, 'no_name', name is null),
        ('contact.gap', '0001-01-01'::date, 'no_email', email is null),
        ('contact.gap', '0001-01-01'::date, 'no_phone', phone is null),
        ('contact.gap', '0001-01-01'::date, 'unreachable', email is null and phone is null),
        ('contact.gap', '0001-01-01'::date, 'no_source', source is null),
        ('contact.gap', '0001-01-01'::date, 'no_owner', owner is null),
        ('contact.gap', '0001-01-01'::date, 'no_tags', coalesce(cardinality(tags), 0) = 0)
      ) as m (measure, day, a, holds)
     where holds
    union all
    select 'contact.tag', '0001-01-01'::date, tag, '', '', 1, 0, 0 from unnest(tags) as t (tag)
$$;

-- Activity:
--   conversation.last    direction, by day of the last message
--   conversation.unread  conversations with unread messages; value: how many
--   message.sent         channel, direction, by day
--   reply.asked          waiting, or how long it took (5m, 1h, 4h, 1d, 3d, longer), by day of the question; seconds: to the answer
--   task.due             open or done, by day
--   appointment.start    status, by day
create function ghl_measures_of_conversation(last_at timestamptz, direction text, unread integer)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select measure, day, coalesce(a, ''), '', '', 1, value, 0::numeric
      from (values
        ('conversation.last', ghl_day(last_at), direction, 0::numeric, true),
        ('conversation.unread', '0001-01-01'::date, null, unread, unread > 0)
      ) as m (measure, day, a, value, holds)
     where holds
$$;

create function ghl_measures_of_message(sent timestamptz, channel text, direction text)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select 'message.sent', ghl_day(sent), coalesce(channel, ''), coalesce(direction, ''), '', 1, 0::numeric, 0::numeric
$$;

create function ghl_measures_of_reply(asked timestamptz, answered timestamptz)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select 'reply.asked', ghl_day(asked),
           case when answered is null then 'waiting'
                when answered <= asked + interval '5 minutes' then '5m'
                when answered <= asked + interval '1 hour' then '1h'
                when answered <= asked + interval '4 hours' then '4h'
                when answered <= asked + interval '24 hours' then '1d'
                when answered <= asked + interval '72 hours' then '3d'
                else 'longer' end,
           '', '', 1, 0::numeric, case when answered is null then 0 else ghl_epoch(answered) - ghl_epoch(asked) end
$$;

create function ghl_measures_of_task(due timestamptz, completed boolean)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select 'task.due', ghl_day(due), case when completed then 'done' else 'open' end, '', '', 1, 0::numeric, 0::numeric
$$;

create function ghl_measures_of_appointment(starts timestamptz, status text)
returns table (measure text, day date, a text, b text, c text, n integer, value numeric, seconds numeric)
language sql immutable parallel safe as $$
    select 'appointment.start', ghl_day(starts), coalesce(status, ''), '', '', 1, 0::numeric, 0::numeric
$$;

-- What the rollups ought to be: reads everything.
create view ghl_rollup_truth as
select measure, day, a, b, c, sum(n)::bigint as count, sum(value) as value, sum(seconds) as seconds
  from (
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_opportunities r
     cross join lateral ghl_measures_of_deal(
        r.pipeline_id, r.stage_id, r.status, r.source, r.assigned_to, r.value, r.created_at, r.stage_changed_at,
        r.status_changed_at) m
     where r.deleted_at is null
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_stage_changes r
     cross join lateral ghl_measures_of_change(
        r.from_stage_id, r.to_stage_id, r.to_status, r.value, r.entered_at, r.changed_at) m
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from contacts r
     cross join lateral ghl_measures_of_contact(
        r.created_at, r.source, r.assigned_to, r.tags, r.name, r.email, r.phone) m
     where r.deleted_at is null and r.ecosystem = 'gohighlevel'
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_conversations r
     cross join lateral ghl_measures_of_conversation(r.last_message_at, r.last_direction, r.unread) m
     where r.deleted_at is null
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_messages r
     cross join lateral ghl_measures_of_message(r.sent_at, r.channel, r.direction) m
     where r.deleted_at is null
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_replies r
     cross join lateral ghl_measures_of_reply(r.asked_at, r.answered_at) m
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_tasks r
     cross join lateral ghl_measures_of_task(r.due_at, r.completed) m
     where r.deleted_at is null
    union all
    select m.measure, m.day, m.a, m.b, m.c, m.n, m.value, m.seconds
      from ghl_appointments r
     cross join lateral ghl_measures_of_appointment(r.starts_at, r.status) m
     where r.deleted_at is null
  ) as rows
 group by measure, day, a, b, c;

-- Adds what new rows count and takes away what old ones did; of a row that changed nothing here, nothing is written. The
-- arguments of the trigger are the function of the measures with its arguments, and which rows count.
--
-- Dynamic, since a table of old or new rows is there for some events only. In the order of the keys: writers wait for each
-- other and do not lock each other out.
create function ghl_roll_up() returns trigger language plpgsql set search_path from current as $$
begin
    -- An upsert fires the triggers of both its events.
    if tg_op = 'INSERT' then
        if not exists (select from new_rows) then return null; end if;
    elsif not exists (select from old_rows) then
        return null;
    end if;
    execute format(
        'insert into ghl_rollups as kept (measure, day, a, b, c, count, value, seconds)
         select m.measure, m.day, m.a, m.b, m.c, sum(r.sign * m.n), sum(r.sign * m.value), sum(r.sign * m.seconds)
           from (%s) r cross join lateral %s m
          where %s
          group by m.measure, m.day, m.a, m.b, m.c
         having sum(r.sign * m.n) <> 0 or sum(r.sign * m.value) <> 0 or sum(r.sign * m.seconds) <> 0
          order by m.measure, m.day, m.a, m.b, m.c
         on conflict (measure, day, a, b, c) do update set
            count = kept.count + excluded.count, value = kept.value + excluded.value,
            seconds = kept.seconds + excluded.seconds',
        case tg_op
            when 'INSERT' then 'select 1 as sign, n.* from new_rows n'
            when 'DELETE' then 'select -1 as sign, o.* from old_rows o'
            else 'select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o'
        end, tg_argv[0], tg_argv[1]);
    return null;
end $$;

do $$
declare
    t record;
begin
    for t in
        values
            ('ghl_opportunities', 'ghl_measures_of_deal(r.pipeline_id, r.stage_id, r.status, r.source, r.assigned_to, r.value, r.created_at, r.stage_changed_at, r.status_changed_at)', 'r.deleted_at is null'),
            ('ghl_stage_changes', 'ghl_measures_of_change(r.from_stage_id, r.to_stage_id, r.to_status, r.value, r.entered_at, r.changed_at)', 'true'),
            ('contacts', 'ghl_measures_of_contact(r.created_at, r.source, r.assigned_to, r.tags, r.name, r.email, r.phone)', 'r.deleted_at is null and r.ecosystem = ''gohighlevel'''),
            ('ghl_conversations', 'ghl_measures_of_conversation(r.last_message_at, r.last_direction, r.unread)', 'r.deleted_at is null'),
            ('ghl_messages', 'ghl_measures_of_message(r.sent_at, r.channel, r.direction)', 'r.deleted_at is null'),
            ('ghl_replies', 'ghl_measures_of_reply(r.asked_at, r.answered_at)', 'true'),
            ('ghl_tasks', 'ghl_measures_of_task(r.due_at, r.completed)', 'r.deleted_at is null'),
            ('ghl_appointments', 'ghl_measures_of_appointment(r.starts_at, r.status)', 'r.deleted_at is null')
    loop
        execute format('create trigger ghl_roll_up_insert after insert on %I referencing new table as new_rows for each statement execute function ghl_roll_up(%L, %L)', t.column1, t.column2, t.column3);
        execute format('create trigger ghl_roll_up_update after update on %I referencing old table as old_rows new table as new_rows for each statement execute function ghl_roll_up(%L, %L)', t.column1, t.column2, t.column3);
        execute format('create trigger ghl_roll_up_delete after delete on %I referencing old table as old_rows for each statement execute function ghl_roll_up(%L, %L)', t.column1, t.column2, t.column3);
    end loop;
end $$;

create function ghl_note_stage_changes() returns trigger language plpgsql set search_path from current as $$
begin
    insert into ghl_stage_changes
        (opportunity_id, contact_id, from_pipeline_id, from_stage_id, from_status, to_pipeline_id, to_stage_id, to_status,
         value, entered_at, changed_at)
    select n.id, n.contact_id, o.pipeline_id, o.stage_id, o.status, n.pipeline_id, n.stage_id, n.status, n.value,
           o.stage_changed_at,
           case when (o.stage_id, o.pipeline_id) is distinct from (n.stage_id, n.pipeline_id)
                then coalesce(n.stage_changed_at, n.status_changed_at) else n.status_changed_at end
      from old_rows o join new_rows n on n.id = o.id
     where (o.pipeline_id, o.stage_id, o.status) is distinct from (n.pipeline_id, n.stage_id, n.status)
     order by n.id;
    return null;
end $$;

create trigger ghl_note_stage_changes after update on ghl_opportunities
    referencing old table as old_rows new table as new_rows
    for each statement execute function ghl_note_stage_changes();

-- A question is a message of theirs that follows one of ours or none; its answer is our next one that a person sent. What the
-- provider writes into a thread by itself (activity_…, internal_comment) is neither.
create function ghl_find_replies() returns trigger language plpgsql set search_path from current as $$
declare
    touched text[];
begin
    case tg_op
        when 'INSERT' then touched := array(select distinct contact_id from new_rows where contact_id is not null);
        when 'DELETE' then touched := array(select distinct contact_id from old_rows where contact_id is not null);
        else touched := array(select contact_id from new_rows where contact_id is not null
                              union select contact_id from old_rows where contact_id is not null);
    end case;
    if touched = '{}' then return null; end if;
    with said as (
        select contact_id, id, sent_at, direction,
               lag(direction) over w as before,
               min(sent_at) filter (where direction = 'outbound')
                   over (partition by contact_id order by sent_at, id rows between current row and unbounded following) as answer
          from ghl_messages
         where contact_id = any (touched) and deleted_at is null and sent_at is not null
           and (direction = 'inbound' or direction = 'outbound' and automated is not true)
           and channel not like 'activity%' and channel <> 'internal_comment'
        window w as (partition by contact_id order by sent_at, id)
    ), found as (
        select contact_id, sent_at as asked_at, id as message_id, answer as answered_at
          from said where direction = 'inbound' and before is distinct from 'inbound'
    ), gone as (
        delete from ghl_replies r
         where r.contact_id = any (touched)
           and not exists (select from found f
                            where (f.contact_id, f.asked_at, f.message_id) = (r.contact_id, r.asked_at, r.message_id))
    )
    insert into ghl_replies as kept (contact_id, asked_at, message_id, answered_at)
    select contact_id, asked_at, message_id, answered_at from found order by contact_id, asked_at, message_id
    on conflict (contact_id, asked_at, message_id) do update set answered_at = excluded.answered_at
     where kept.answered_at is distinct from excluded.answered_at;
    return null;
end $$;

create trigger ghl_find_replies_insert after insert on ghl_messages
    referencing new table as new_rows for each statement execute function ghl_find_replies();
create trigger ghl_find_replies_update after update on ghl_messages
    referencing old table as old_rows new table as new_rows for each statement execute function ghl_find_replies();
create trigger ghl_find_replies_delete after delete on ghl_messages
    referencing old table as old_rows for each statement execute function ghl_find_replies();

-- A database that is adopted has contacts already.
insert into ghl_rollups (measure, day, a, b, c, count, value, seconds)
select measure, day, a, b, c, count, value, seconds from ghl_rollup_truth;

-- Recommendations that were dismissed, and how long they are to stay away. Filled by `ghl recommend --dismiss`.
create table ghl_dismissed (
    id text primary key,
    dismissed_at timestamptz not null default now(),
    until timestamptz,
    evidence text
);
comment on column ghl_dismissed.id is 'of the recommendation: what it is about and for whom';
comment on column ghl_dismissed.until is 'snoozed until then; null is for good';
comment on column ghl_dismissed.evidence is 'what it rested on when it was dismissed: it may come back when that has changed';
