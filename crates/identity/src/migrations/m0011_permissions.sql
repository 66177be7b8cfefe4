-- What roles can permit. The rows are those of the code, written at every start as the built-in roles
-- are.
create table permissions (
    name        text not null primary key,
    description text not null
) {clustered};
-- Who holds a role is asked when something is taken back from it.
create index user_roles_by_role on user_roles (role);
