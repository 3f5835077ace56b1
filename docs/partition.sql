-- Divides the tables of tasks into partitions by their owner, on PostgreSQL.
--
-- Stop the service, make a backup, and run this once, as the owner of the tables:
--
--     psql --set ON_ERROR_STOP=1 --file docs/partition.sql "$DATABASE_URL"
--
-- It copies the rows, so the disk needs room for the tables once more. Keys, indexes, constraints and
-- rows stay as they are. Grants do not: grant the new tables to the role of the service again.

BEGIN;

DO $$
DECLARE
    partitions constant int := 8;
    divided text;
    owner text;
    undivided text;
    part text;
    definition text;
BEGIN
    FOR divided, owner IN VALUES
        ('kept_responses', 'user_id'),
        ('task_owners', 'owner_id'),
        ('tasks', 'owner_id'),
        ('deleted_tasks', 'owner_id'),
        ('fired_reminders', 'owner_id')
    LOOP
        undivided := divided || '_undivided';
        EXECUTE format('ALTER TABLE %I RENAME TO %I', divided, undivided);
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)'
            ' PARTITION BY HASH (%I)', divided, undivided, owner
        );
        FOR number IN 0 .. partitions - 1 LOOP
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
                divided || '_' || number, divided, partitions, number
            );
        END LOOP;
        EXECUTE format('INSERT INTO %I SELECT * FROM %I', divided, undivided);

        -- The primary key first, because foreign keys refer to it; the statements name the new table.
        CREATE TEMPORARY TABLE definitions ON COMMIT DROP AS
            SELECT contype = 'f' AS is_foreign_key, format(
                'ALTER TABLE %I ADD CONSTRAINT %I %s',
                divided, conname, replace(pg_get_constraintdef(oid), undivided, divided)
            ) AS statement
            FROM pg_constraint
            WHERE conrelid = undivided::regclass AND contype IN ('p', 'f')
        UNION ALL
            SELECT false, replace(pg_get_indexdef(indexrelid), undivided, divided)
            FROM pg_index
            WHERE indrelid = undivided::regclass AND NOT indisprimary;
        EXECUTE format('DROP TABLE %I', undivided);
        FOR definition IN SELECT statement FROM definitions ORDER BY is_foreign_key LOOP
            EXECUTE definition;
        END LOOP;
        DROP TABLE definitions;

        -- The service knows a constraint of a partition by the name of the table's and a number.
        FOR part, definition IN
            SELECT indexrelid::regclass, inhparent::regclass || substring(relname FROM '_[0-9]+$')
            FROM pg_inherits
            JOIN pg_index ON indexrelid = inhrelid
            JOIN pg_class ON pg_class.oid = indrelid
            WHERE inhparent IN (SELECT indexrelid FROM pg_index WHERE indrelid = divided::regclass)
        LOOP
            EXECUTE format('ALTER INDEX %s RENAME TO %I', part, definition);
        END LOOP;
    END LOOP;
END
$$;

COMMIT;
