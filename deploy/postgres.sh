#!/bin/sh
# Makes authy's role and database, when PostgreSQL starts for the first time. The role may connect to its own database and make
# a schema there; it is no superuser, makes no roles and no databases, and no other role can connect.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat /run/secrets/authy_database_password`
CREATE ROLE authy LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
CREATE DATABASE authy;
REVOKE ALL ON DATABASE authy, postgres, template1 FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE authy TO authy;
SQL
