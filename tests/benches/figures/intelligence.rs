//! Digests of a thousand contacts against the same of a million: they read counts that the sync kept.

use std::process::{Command, Stdio};

use crate::scene::{self, Scene};
use crate::{Bound, figure, median};

/// What answers from counts. Others that do belong here too.
const DIGESTS: &[&[&str]] = &[
    &["ghl", "pipeline"],
    &["ghl", "pipeline", "wholesale", "--explain"],
    &["ghl", "insights"],
    &["ghl", "insights", "--since", "365d", "--explain"],
    &["ghl", "recommend"],
];

/// A location of a thousand contacts, and of a million: contacts, deals.
const SMALL: (usize, usize) = (1_206, 350);
const LARGE: (usize, usize) = (1_000_000, 300_000);

/// Fills the tables as syncs would have, with counts kept by the same triggers. What people search by is
/// left out, no digest reads it.
const FILL: &str = "\
set synchronous_commit = off;
set medtainer.indexes = 'on';
set work_mem = '64MB';
create function pg_temp.dice(bigint, text, int) returns int language sql immutable as
    $$ select abs(hashint8extended($1, hashtext($2))::bigint % $3)::int $$;
create function pg_temp.at(bigint, text) returns timestamptz language sql stable as
    $$ select date_trunc('day', now()) - pg_temp.dice($1, $2, 94608000) * interval '1 second' $$;
insert into contacts (id, data, content_hash, created_at, updated_at, account, name, email, phone, source, assigned_to, tags)
select 'contact' || n, '{}', n, pg_temp.at(n, 'added'), pg_temp.at(n, 'changed'), 'sandboxLocation01abc', 'Name ' || n,
       case when pg_temp.dice(n, 'email', 10) > 0 then 'e' || n - n % 97 / 95 || '@x.example' end,
       case when pg_temp.dice(n, 'phone', 10) > 1 then '+1' || 5550000000 + n end,
       (array['Website', 'Referral', 'Trade show', 'Facebook ad', 'Google Ads', 'Cold call', null])[1 + pg_temp.dice(n, 'source', 7)],
       (array['u1', 'u2', 'u3', 'u4', 'u5', null])[1 + pg_temp.dice(n, 'owner', 6)],
       case pg_temp.dice(n, 'tags', 3) when 0 then '{}' when 1 then '{vip}' else array['t' || pg_temp.dice(n, 'tag', 12), 'net-30'] end
  from generate_series(1, :contacts) n;
insert into ghl_opportunities
    (id, contact_id, pipeline_id, stage_id, status, value, name, source, assigned_to, created_at, updated_at, stage_changed_at,
     status_changed_at, data)
select 'deal' || n, 'contact' || 1 + pg_temp.dice(n, 'contact', :contacts), pipeline, pipeline || pg_temp.dice(n, 'stage', 5),
       (array['open', 'open', 'open', 'open', 'open', 'open', 'won', 'won', 'lost', 'abandoned'])[1 + pg_temp.dice(n, 'status', 10)],
       pg_temp.dice(n, 'value', 2000000) / 100.0, 'Deal ' || n,
       (array['Website', 'Referral', 'Trade show', null])[1 + pg_temp.dice(n, 'source', 4)],
       'u' || 1 + pg_temp.dice(n, 'owner', 5), pg_temp.at(n, 'made'), pg_temp.at(n, 'moved'), pg_temp.at(n, 'moved'), pg_temp.at(n, 'moved'), '{}'
  from (select n, 'p' || pg_temp.dice(n, 'pipeline', 2) as pipeline from generate_series(1, :deals) n) n;
insert into ghl_conversations (id, contact_id, last_message_at, last_direction, unread, data)
select 'thread' || n, 'contact' || n, pg_temp.at(n, 'wrote'), (array['inbound', 'outbound'])[1 + pg_temp.dice(n, 'way', 2)],
       greatest(0, pg_temp.dice(n, 'unread', 8) - 5), '{}'
  from generate_series(1, :contacts, 2) n;
insert into ghl_messages (id, contact_id, conversation_id, sent_at, channel, direction, automated, data)
select 'message' || n, 'contact' || n - n % 2 + 1, 'thread' || n - n % 2 + 1, pg_temp.at(n, 'sent'),
       (array['sms', 'email', 'call'])[1 + pg_temp.dice(n, 'channel', 3)], (array['inbound', 'outbound'])[1 + n % 2], false, '{}'
  from generate_series(1, :contacts) n;
insert into ghl_tasks (id, contact_id, title, due_at, completed, data)
select 'task' || n, 'contact' || n, 'Call', now() + (pg_temp.dice(n, 'due', 120) - 90) * interval '1 day', pg_temp.dice(n, 'done', 10) > 3, '{}'
  from generate_series(1, :contacts, 6) n;
insert into ghl_appointments (id, contact_id, starts_at, status, data)
select 'event' || n, 'contact' || n, now() + (pg_temp.dice(n, 'start', 150) - 120) * interval '1 day',
       (array['showed', 'noshow', 'confirmed'])[1 + pg_temp.dice(n, 'state', 3)], '{}'
  from generate_series(1, :contacts, 12) n;
-- One deal in ten has moved once.
update ghl_opportunities set stage_id = pipeline_id || 4, stage_changed_at = now(), updated_at = now() where id like '%7';
insert into records (collection, id, name, data)
select 'ghl.pipelines', 'p' || p, (array['Wholesale', 'Branding'])[1 + p],
       jsonb_build_object('id', 'p' || p, 'name', (array['Wholesale', 'Branding'])[1 + p], 'stages',
           (select jsonb_agg(jsonb_build_object('id', 'p' || p || s, 'name', 'Stage ' || s, 'position', s)) from generate_series(0, 4) s))
  from generate_series(0, 1) p;
insert into sync_state (collection, watermark, last_success_at, last_full_at)
select 'ghl.' || name, now(), now(), now()
  from unnest(array['contacts', 'opportunities', 'pipelines', 'conversations', 'messages', 'tasks', 'appointments', 'users', 'calendars', 'location']) name;
vacuum analyze;
";

fn fill(scene: &Scene, (contacts, deals): (usize, usize)) {
    let mut psql = scene.cluster().psql().expect("a psql");
    psql.args(["-q", "-v", "ON_ERROR_STOP=1"])
        .args(["-v", &format!("contacts={contacts}")])
        .args(["-v", &format!("deals={deals}")])
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = psql.spawn().expect("psql");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, FILL.as_bytes()).expect("psql reads");
    drop(input);
    assert!(
        child.wait().expect("psql").success(),
        "the tables were filled"
    );
}

fn filled(size: (usize, usize)) -> Scene {
    let scene = Scene::new();
    fill(&scene, size);
    scene
}

pub fn run(runs: usize) {
    println!(
        "\ndigests of {} contacts and {} deals against {} and {}, {runs} runs in turns",
        LARGE.0, LARGE.1, SMALL.0, SMALL.1
    );
    let (small, large) = (filled(SMALL), filled(LARGE));
    for words in DIGESTS {
        let words: Vec<&str> = words.iter().copied().chain(["--max-age", "10h"]).collect();
        let (mut few, mut many) = (Vec::new(), Vec::new());
        let call = |scene: &Scene| -> Command { scene.medtainer(&words) };
        for _ in 0..runs {
            few.push(scene::time(&mut call(&small)));
            many.push(scene::time(&mut call(&large)));
        }
        let (few, many) = (median(few), median(many));
        let name = words[..words.len() - 2].join(" ");
        println!("        {name}: {few:.2} ms, of a million {many:.2} ms");
        figure(
            &format!("{name}, times that of a thousand"),
            many / few,
            "",
            Bound::AtMost(2.0),
        );
        figure(&name, many, " ms", Bound::AtMost(100.0));
    }
}
