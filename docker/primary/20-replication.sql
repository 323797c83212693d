-- The slot keeps the WAL that the standby has not received yet, while it is away.
create role replicator login replication password 'replicator';
select pg_create_physical_replication_slot('standby');
