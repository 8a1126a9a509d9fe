//! The tables of the CRM: what each has in columns, and what of it the table of the old system gets.

use super::table::{Table, gone, hand_down, table};
use crate::ghl::types::crm;

/// Deals.
pub static OPPORTUNITIES: Table = table!(
    "ghl_opportunities", "ghl.opportunities", crm::opportunity,
    swept: "true", handed_down: None,
    "contact_id" "text",
    "pipeline_id" "text",
    "stage_id" "text",
    "status" "text",
    "value" "numeric",
    "name" "text",
    "source" "text",
    "assigned_to" "text",
    "lost_reason_id" "text",
    "created_at" "timestamptz",
    "stage_changed_at" "timestamptz",
    "status_changed_at" "timestamptz",
);

/// Threads.
pub static CONVERSATIONS: Table = table!(
    "ghl_conversations", "ghl.conversations", crm::conversation,
    swept: "true", handed_down: None,
    "contact_id" "text",
    "last_message_at" "timestamptz",
    "last_direction" "text",
    "last_type" "text",
    "unread" "integer",
    "assigned_to" "text",
    "created_at" "timestamptz",
);

/// Messages. None is ever buried: a sweep asks for those of a year, and nobody deletes messages.
pub static MESSAGES: Table = table!(
    "ghl_messages", "ghl.messages", crm::message,
    swept: "false",
    handed_down: Some(hand_down!("ghl_messages", "coalesce(n.channel, 'message')", "n.sent_at")),
    "contact_id" "text",
    "conversation_id" "text",
    "sent_at" "timestamptz",
    "channel" "text",
    "direction" "text",
    "automated" "boolean",
    "status" "text",
    "user_id" "text",
);

/// Notes. What is gone shows when the notes of its contact are fetched.
pub static NOTES: Table = table!(
    "ghl_notes", "ghl.notes", crm::note,
    swept: "false",
    handed_down: Some(hand_down!("ghl_notes", "'note'", "n.written_at")),
    "contact_id" "text",
    "user_id" "text",
    "written_at" "timestamptz",
);

/// Tasks.
pub static TASKS: Table = table!(
    "ghl_tasks", "ghl.tasks", crm::task,
    swept: "true",
    handed_down: Some(hand_down!("ghl_tasks", "'task'", "coalesce(n.due_at, n.first_seen_at)")),
    "contact_id" "text",
    "title" "text",
    "due_at" "timestamptz",
    "completed" "boolean",
    "assigned_to" "text",
);

/// Appointments. A sweep asks for those between a year ago and half a year from now.
pub static APPOINTMENTS: Table = table!(
    "ghl_appointments", "ghl.appointments", crm::appointment,
    swept: "starts_at between now() - interval '360 days' and now() + interval '175 days'",
    handed_down: Some(hand_down!("ghl_appointments", "'appointment'", "n.starts_at")),
    "contact_id" "text",
    "calendar_id" "text",
    "title" "text",
    "status" "text",
    "starts_at" "timestamptz",
    "ends_at" "timestamptz",
    "assigned_to" "text",
);

/// All of them.
pub static TABLES: [&Table; 6] = [
    &OPPORTUNITIES,
    &CONVERSATIONS,
    &MESSAGES,
    &NOTES,
    &TASKS,
    &APPOINTMENTS,
];
