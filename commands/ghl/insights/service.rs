//! What the figures say of messages, tasks and appointments.

use super::findings::{change, if_known, mean_hours, money, share, whole};
use super::{Figures, Insight, SILENT_DAYS, sum};
use crate::ghl::store::figures::Of;

/// How fast questions are answered, and how much is written.
pub fn response(figures: &Figures) -> Vec<Insight> {
    let needs = ["ghl.messages"];
    let (asked, asked_then) = figures.twice("reply.asked", |_| true);
    let (answered, answered_then) = figures.twice("reply.asked", |row| row.a != "waiting");
    let (soon, soon_then) = figures.twice("reply.asked", |row| matches!(&*row.a, "5m" | "1h"));
    let waiting = asked.count - answered.count;
    let time = if_known(figures, &needs, "response.time", "hours", || {
        let Some(hours) = mean_hours(answered) else {
            return Insight::unknown(
                "response.time",
                "hours",
                "nothing was asked and answered in these days",
            );
        };
        let insight = Insight::known(
            "response.time",
            "hours",
            hours,
            format!(
                "an answer took {hours} hours on average, of {} questions",
                answered.count
            ),
        );
        match mean_hours(answered_then) {
            Some(then) => insight.before(then),
            None => insight,
        }
        .how(format!("ghl_replies: mean of answered_at less asked_at, by asked_at: {}", figures.window()))
        .how("a question is their first message after ours, its answer our next one that a person sent")
    });
    let within = if_known(figures, &needs, "response.within_1h", "share", || {
        if asked.count == 0 {
            return Insight::unknown(
                "response.within_1h",
                "share",
                "nothing was asked in these days",
            );
        }
        let insight = Insight::known(
            "response.within_1h",
            "share",
            share(soon.count, asked.count),
            format!(
                "{} of {} questions were answered within an hour",
                soon.count, asked.count
            ),
        );
        match asked_then.count {
            0 => insight,
            count => insight.before(share(soon_then.count, count)),
        }
        .how(format!(
            "ghl_replies answered within an hour / all of them, by asked_at: {}",
            figures.window()
        ))
    });
    let waits = if_known(figures, &needs, "response.waiting", "questions", || {
        Insight::known(
            "response.waiting",
            "questions",
            whole(waiting),
            format!("{waiting} questions of these days wait for an answer"),
        )
        .shown(figures.examples(Of::Waiting))
        .how(format!(
            "ghl_replies without answered_at, asked since {}",
            figures.start
        ))
    });
    let messages = if_known(figures, &needs, "response.messages", "messages", || {
        let (theirs, _) = figures.twice("message.sent", |row| row.b == "inbound");
        let (ours, _) = figures.twice("message.sent", |row| row.b == "outbound");
        let (all, then) = figures.twice("message.sent", |_| true);
        Insight::known(
            "response.messages",
            "messages",
            whole(all.count),
            format!(
                "{} messages came and {} went{}",
                theirs.count,
                ours.count,
                change(all.count, then.count)
            ),
        )
        .before(whole(then.count))
        .how(format!("ghl_messages by sent_at: {}", figures.window()))
    });
    vec![time, within, waits, messages]
}

/// Which conversations have ended, and what nobody has read.
pub fn silence(figures: &Figures) -> Vec<Insight> {
    let needs = ["ghl.conversations"];
    let silent = if_known(figures, &needs, "silence.conversations", "share", || {
        let all = sum(&figures.talk, |_| true).count;
        let late = sum(&figures.talk, |row| row.late).count;
        if all == 0 {
            return Insight::unknown(
                "silence.conversations",
                "share",
                "there are no conversations",
            );
        }
        Insight::known(
            "silence.conversations",
            "share",
            share(all - late, all),
            format!("{} of {all} conversations have been silent for {SILENT_DAYS} days or more", all - late),
        )
        .how(format!("ghl_conversations: ({all} - {late} with a last_message_at of the last {SILENT_DAYS} days) / {all}"))
    });
    let theirs = if_known(figures, &needs, "silence.ours", "conversations", || {
        let count = sum(&figures.talk, |row| row.a == "inbound" && !row.late).count;
        Insight::known(
            "silence.ours",
            "conversations",
            whole(count),
            format!("in {count} of the silent ones they had the last word"),
        )
        .how("ghl_conversations that are silent and whose last_direction is inbound")
    });
    let unread = if_known(figures, &needs, "silence.unread", "messages", || {
        let unread = sum(&figures.stock, |row| row.measure == "conversation.unread");
        Insight::known(
            "silence.unread",
            "messages",
            money(unread.value),
            format!("{} messages in {} conversations are unread", unread.value, unread.count),
        )
        .how("sum of unread of ghl_conversations; reading changes no time, so this is as of the last change of each")
    });
    vec![silent, theirs, unread]
}

/// What was promised: tasks and appointments.
pub fn duties(figures: &Figures) -> Vec<Insight> {
    let overdue = if_known(figures, &["ghl.tasks"], "tasks.overdue", "tasks", || {
        let late = sum(&figures.tasks, |row| row.a == "open" && !row.late).count;
        let open = sum(&figures.tasks, |row| row.a == "open").count;
        Insight::known(
            "tasks.overdue",
            "tasks",
            whole(late),
            format!("{late} of {open} open tasks were due before today"),
        )
        .shown(figures.examples(Of::Overdue))
        .how("ghl_tasks that are not completed, by due_at (UTC)")
    });
    let shown = if_known(
        figures,
        &["ghl.appointments"],
        "appointments.shown",
        "share",
        || {
            let (came, came_then) = figures.twice("appointment.start", |row| row.a == "showed");
            let (missed, missed_then) = figures.twice("appointment.start", |row| row.a == "noshow");
            let (all, then) = (
                came.count + missed.count,
                came_then.count + missed_then.count,
            );
            if all == 0 {
                return Insight::unknown(
                    "appointments.shown",
                    "share",
                    "no appointment of these days tells whether they came",
                );
            }
            let insight = Insight::known(
                "appointments.shown",
                "share",
                share(came.count, all),
                format!("{} of {all} came to their appointments", came.count),
            );
            match then {
                0 => insight,
                then => insight.before(share(came_then.count, then)),
            }
            .how(format!(
                "ghl_appointments: showed / (showed + noshow), by starts_at: {}",
                figures.window()
            ))
        },
    );
    vec![overdue, shown]
}
