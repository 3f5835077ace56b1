"""The repositories on a SQL database: SQLite, embedded, or PostgreSQL through psycopg 3.

`tables` declares what is stored, `database` runs statements, `postgresql` and `sqlite` are
what differs, and each repository is a module of prebuilt statements and of functions
between rows and entities.
"""
