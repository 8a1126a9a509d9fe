-- The tables of the system medtainer replaces, under their own names. `if not exists` throughout:
-- a database of that system is adopted as it stands, with every row and every query of its owner.
-- (Its godaddy_subdomains, godaddy_domain_contacts and godaddy_sync_history are known by name only;
-- where they exist they are left alone until the migration that needs them.)

-- The audit trail: one row for every call of a command, whoever made it.
create table if not exists tool_executions (
    id serial primary key,
    timestamp timestamptz default now(),
    tool_name varchar(100) not null,
    params jsonb,
    response jsonb,
    duration_ms integer,
    status varchar(20) not null,
    error_message text,
    source varchar(20)
);

-- Every request that left for a provider.
create table if not exists api_calls (
    id serial primary key,
    timestamp timestamptz default now(),
    ecosystem varchar(50) not null,
    endpoint varchar(500) not null,
    method varchar(10) not null,
    status_code integer,
    latency_ms integer,
    rate_limited boolean default false
);

-- Contacts as their provider gave them, so that reading them costs no request.
create table if not exists contacts (
    id varchar(100) primary key,
    ecosystem varchar(50) default 'gohighlevel',
    data jsonb not null,
    last_synced timestamptz default now(),
    created_at timestamptz,
    updated_at timestamptz
);

-- Invoices as their provider gave them.
create table if not exists invoices (
    id varchar(100) primary key,
    ecosystem varchar(50),
    data jsonb not null,
    last_synced timestamptz default now()
);

-- Orders as their provider gave them.
create table if not exists orders (
    id varchar(100) primary key,
    ecosystem varchar(50) default 'amazon',
    data jsonb not null,
    last_synced timestamptz default now()
);

-- What the owner knows of a contact and no provider does.
create table if not exists contact_context (
    id serial primary key,
    contact_id varchar(100) references contacts (id),
    nicknames text[],
    notes text,
    importance integer default 0,
    last_interaction timestamptz,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);

-- What passed between the business and a contact.
create table if not exists interaction_history (
    id serial primary key,
    contact_id varchar(100) references contacts (id),
    interaction_type varchar(50),
    interaction_data jsonb,
    timestamp timestamptz default now()
);

-- Domains as the registrar gave them.
create table if not exists godaddy_domains (
    domain varchar(255) primary key,
    status varchar(50),
    expires timestamptz,
    auto_renew boolean,
    data jsonb,
    last_synced timestamptz default now()
);

-- Zone records as the registrar gave them.
create table if not exists godaddy_dns_records (
    id serial primary key,
    domain varchar(255) references godaddy_domains (domain),
    record_type varchar(10),
    name varchar(255),
    data varchar(500),
    ttl integer,
    last_synced timestamptz default now()
);

-- Who takes the mail of a domain.
create table if not exists godaddy_mx_records (
    id serial primary key,
    domain varchar(255) references godaddy_domains (domain),
    priority integer,
    data varchar(255),
    email_provider varchar(100),
    last_synced timestamptz default now()
);

create index if not exists idx_tool_executions_timestamp on tool_executions (timestamp desc);
create index if not exists idx_tool_executions_tool_name on tool_executions (tool_name, timestamp desc);
create index if not exists idx_api_calls_ecosystem on api_calls (ecosystem, timestamp desc);
create index if not exists idx_contacts_last_synced on contacts (last_synced desc);
create index if not exists idx_contacts_created_at on contacts (created_at desc);
create index if not exists idx_contacts_ecosystem on contacts (ecosystem);
create index if not exists idx_contact_context_nicknames on contact_context using gin (nicknames);
create index if not exists idx_contact_context_contact_id on contact_context (contact_id);
create index if not exists idx_godaddy_dns_domain on godaddy_dns_records (domain);
create index if not exists idx_godaddy_mx_domain on godaddy_mx_records (domain);
create index if not exists idx_godaddy_domains_expires on godaddy_domains (expires);
create index if not exists idx_interaction_history_contact_id on interaction_history (contact_id);
create index if not exists idx_interaction_history_timestamp on interaction_history (timestamp desc);
