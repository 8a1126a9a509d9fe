-- The counts of contacts, at half the price: a first sync writes hundreds of thousands of them.

-- What each measure of contacts counts is still in ghl_measures_of_contact, which ghl_rollup_truth asks row by row. These
-- triggers count the rows of a statement together, a page of a sync in four sums, and tests hold the two against each
-- other. One function for each event, since a statement that is known beforehand is planned once and not for every page.
do $$
declare
    t record;
begin
    for t in
        select event, changed, string_agg(
                format('select %s as sign, created_at, source, assigned_to, tags, name, email, phone from %s
                         where deleted_at is null and ecosystem = ''gohighlevel''', sign, rows), ' union all ') as read
          from (values
            ('insert', 'new_rows', 1, 'new_rows'),
            ('update', 'old_rows', 1, 'new_rows'),
            ('update', 'old_rows', -1, 'old_rows'),
            ('delete', 'old_rows', -1, 'old_rows')) as e (event, changed, sign, rows)
         group by event, changed
    loop
        execute format($function$
            create function ghl_roll_up_contacts_%s() returns trigger language plpgsql set search_path from current as $body$
            begin
                -- An upsert fires the triggers of both its events.
                if not exists (select from %s) then return null; end if;
                with r as materialized (%s),
                counted (measure, day, a, n) as (
                    select 'contact.added', ghl_day(created_at), coalesce(lower(source), ''), sum(sign) from r group by 2, 3
                    union all
                    select 'contact.owner', '0001-01-01', coalesce(assigned_to, ''), sum(sign) from r group by 3
                    union all
                    select 'contact.tag', '0001-01-01', tag, sum(sign) from r cross join unnest(tags) as t (tag) group by 3
                    union all
                    select 'contact.gap', '0001-01-01', gap, n
                      from (select sum(sign) as everybody,
                                   sum(sign) filter (where name is null) as no_name,
                                   sum(sign) filter (where email is null) as no_email,
                                   sum(sign) filter (where phone is null) as no_phone,
                                   sum(sign) filter (where email is null and phone is null) as unreachable,
                                   sum(sign) filter (where source is null) as no_source,
                                   sum(sign) filter (where assigned_to is null) as no_owner,
                                   sum(sign) filter (where coalesce(cardinality(tags), 0) = 0) as no_tags
                              from r) as sums
                     cross join lateral (values
                        ('all', everybody), ('no_name', no_name), ('no_email', no_email), ('no_phone', no_phone),
                        ('unreachable', unreachable), ('no_source', no_source), ('no_owner', no_owner),
                        ('no_tags', no_tags)) as gaps (gap, n)
                )
                -- In the order of the keys, as ghl_roll_up writes.
                insert into ghl_rollups as kept (measure, day, a, b, c, count, value, seconds)
                select measure, day, a, '', '', n, 0, 0 from counted where n <> 0 order by measure, day, a
                on conflict (measure, day, a, b, c) do update set count = kept.count + excluded.count;
                return null;
            end $body$ $function$, t.event, t.changed, t.read);
        execute format('drop trigger ghl_roll_up_%s on contacts', t.event);
        execute format('create trigger ghl_roll_up_%1$s after %1$s on contacts referencing %2$s
            for each statement execute function ghl_roll_up_contacts_%1$s()', t.event,
            case t.event
                when 'insert' then 'new table as new_rows'
                when 'delete' then 'old table as old_rows'
                else 'old table as old_rows new table as new_rows'
            end);
    end loop;
end $$;

-- When the counts were last held against the rows, which reads everything and is done once a day, by a sync that sweeps.
create table ghl_rollups_checked (
    id boolean primary key default true check (id),
    checked_at timestamptz not null default now()
);
comment on table ghl_rollups_checked is 'a single row; none: never';
-- Nothing was counted yet, so nothing is wrong.
insert into ghl_rollups_checked (checked_at) select now() where not exists (select from contacts);
