-- The kinds of devices that a user signed in from, by the digest of their name, so that a new one is
-- told.
create table user_devices (
    user_id       {uuid} not null,
    device_hash   {bytes} not null,
    first_seen_at {bigint} not null,
    primary key (user_id, device_hash),
    constraint user_devices_user foreign key (user_id) references users (id)
) {clustered};
