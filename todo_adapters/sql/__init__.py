"""The repositories on a SQL database: SQLite, embedded, or PostgreSQL through psycopg 3.

`tables` says what is stored, `database` runs statements, and each repository is
a module of prebuilt statements and of functions between rows and entities.
"""
