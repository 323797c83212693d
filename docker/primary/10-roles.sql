-- The three roles of the service, as `startCluster` of fastify-sqlassist/embedded creates them. The writer and
-- the logger own the tables that they create; default privileges let the others in.
create role app_reader login password 'app_reader';
create role app_writer login password 'app_writer';
create role app_logger login password 'app_logger';

grant usage on schema public to app_reader;
grant usage, create on schema public to app_writer, app_logger;

alter default privileges for role app_writer grant select on tables to app_reader;
alter default privileges for role app_writer grant select on sequences to app_reader;
alter default privileges for role app_writer grant select, insert on tables to app_logger;
alter default privileges for role app_writer grant select, usage on sequences to app_logger;

alter default privileges for role app_logger grant select on tables to app_reader;
alter default privileges for role app_logger grant select on sequences to app_reader;
alter default privileges for role app_logger grant select, insert, update, delete on tables to app_writer;
alter default privileges for role app_logger grant select, usage on sequences to app_writer;
