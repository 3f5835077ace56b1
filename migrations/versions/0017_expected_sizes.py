"""How many tasks SQLite expects an owner to have, on which its plans depend.

Before it deletes a task, SQLite looks for subtasks of it, by the foreign key. As long as it is not
told otherwise, SQLite expects that an owner has ten tasks. Newer versions (3.46, but not 3.40) then
read all tasks of the owner instead of the index on parents: 2.5 ms instead of 12 µs for an owner
with 20,000 tasks.

Statistics that the operator has had collected (`ANALYZE`) are kept. PostgreSQL collects its own.

Revision: 0017, after 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The primary key has the name of its table. "1000000 100 1" is the number of rows, of those of one
# owner, and of those with one id as well (https://sqlite.org/fileformat2.html#stat1tab).
_EXPECT = """
INSERT INTO sqlite_stat1 (tbl, idx, stat) SELECT 'tasks', 'tasks', '1000000 100 1'
WHERE NOT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE tbl = 'tasks' AND idx = 'tasks')
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("ANALYZE alembic_version")  # creates the table of statistics
    op.execute(_EXPECT)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1 WHERE tbl = 'tasks' AND idx = 'tasks'")
