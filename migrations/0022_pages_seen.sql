-- The ids that a run has seen, a row for each page of them instead of one for each id: a sweep of a hundred thousand
-- records wrote and deleted as many rows for nothing.

create unlogged table sync_pages (
    run_id bigint not null,
    ids text[] not null
);
-- Ids are random: trying to compress them only takes time.
alter table sync_pages alter column ids set storage external;
comment on table sync_pages is 'ids an unfinished run has seen, a row for each page: what is not here at the end of a full sweep is gone';

insert into sync_pages (run_id, ids) select run_id, array_agg(id) from sync_seen group by run_id;
drop table sync_seen;

create view sync_seen as select run_id, unnest(ids) as id from sync_pages;
comment on view sync_seen is 'the same, a row for each id';

comment on column sync_state.seen is 'ids in sync_pages at the checkpoint: fewer are found when the server crashed and emptied it';
