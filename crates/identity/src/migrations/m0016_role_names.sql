-- Roles are told apart by their names without regard to case, also when two are made at once.
create unique index roles_name_unique_without_case on roles (lower(name));
