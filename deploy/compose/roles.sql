-- The roles of docs/security.md: one owns the tables and migrates, and one serves.
-- The container runs this once, when it creates the database.

\set owner_password `cat /run/secrets/owner-password`
\set service_password `cat /run/secrets/service-password`

CREATE ROLE todo_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE ROLE todo_service LOGIN PASSWORD :'service_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;

ALTER DATABASE todo OWNER TO todo_owner;
REVOKE ALL ON DATABASE todo FROM PUBLIC;
GRANT CONNECT ON DATABASE todo TO todo_service;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO todo_owner;
GRANT USAGE ON SCHEMA public TO todo_service;

-- The service only reads the revision of the schema, for /readyz.
SET ROLE todo_owner;
CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY
);
GRANT SELECT ON alembic_version TO todo_service;

-- All tables that migrations create from here on.
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO todo_service;
