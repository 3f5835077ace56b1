#!/bin/bash
# Creates the database as the documentation of the official image describes it, as far as compose.yaml uses it.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  # shellcheck disable=SC2086  # several options
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "unix_socket_directories = '/run/postgresql'" >>"$PGDATA/postgresql.conf"
  pg_ctl --wait --options "-c listen_addresses=''" start
  export PGHOST=/run/postgresql PGUSER=postgres
  createdb "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sql; do
    psql --set ON_ERROR_STOP=1 --no-password --no-psqlrc --dbname "$POSTGRES_DB" --file "$script"
  done
  pg_ctl --wait --mode fast stop
  unset PGHOST PGUSER
fi
exec "$@"
