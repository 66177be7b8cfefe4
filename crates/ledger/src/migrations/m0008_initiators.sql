-- Who asked for it: the id of the user or API client. Null for what the program does by itself, and for
-- records from before, whose form in the history knows nobody (docs/LEDGER-PROOFS.md).
alter table transactions add column initiated_by {uuid};
alter table holds add column initiated_by {uuid};
alter table hold_changes add column initiated_by {uuid};
