create trigger journal_groups_refuse_change before update or delete on journal_groups
    for each row execute function refuse_change();
create trigger journal_groups_refuse_truncate before truncate on journal_groups
    for each statement execute function refuse_change();
create trigger tree_nodes_refuse_change before update or delete on tree_nodes
    for each row execute function refuse_change();
create trigger tree_nodes_refuse_truncate before truncate on tree_nodes
    for each statement execute function refuse_change();
create trigger checkpoints_refuse_change before update or delete on checkpoints
    for each row execute function refuse_change();
create trigger checkpoints_refuse_truncate before truncate on checkpoints
    for each statement execute function refuse_change();
create trigger checkpoint_keys_refuse_change before update or delete on checkpoint_keys
    for each row execute function refuse_change();
create trigger checkpoint_keys_refuse_truncate before truncate on checkpoint_keys
    for each statement execute function refuse_change();
