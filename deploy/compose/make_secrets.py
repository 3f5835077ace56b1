"""Create the passwords and keys of compose.yaml, and give each program a copy of its own.

The container `secrets` runs this at each start, as root with the capability CHOWN. It keeps what
exists in the volume `secrets`, so a backup of this volume contains all secrets. Each program has a
volume with only what it needs, readable by its user.
"""

import os
from pathlib import Path
from secrets import token_urlsafe

ALL = Path("/secrets/all")
CADDY_DATA = Path("/caddy-data")
CADDY, PGBOUNCER, POSTGRES, TODO, VALKEY = 10003, 10002, 999, 10001, 999


def main() -> None:
    """Create what is missing, and write every copy again."""
    ALL.chmod(0o700)
    superuser, owner, service, limits, key = map(
        _secret,
        (
            "postgres-superuser-password",
            "postgres-owner-password",
            "postgres-service-password",
            "valkey-password",
            "jwt-secret",
        ),
    )
    _copy(TODO, "todo/database-url", f"postgresql://todo_service:{service}@pgbouncer:6432/todo")
    _copy(TODO, "todo/jwt-secret", key)
    _copy(TODO, "todo/rate-limit-storage", f"redis://:{limits}@valkey:6379")
    _copy(TODO, "migrate/database-url", f"postgresql://todo_owner:{owner}@postgres:5432/todo")
    _copy(POSTGRES, "postgres/superuser-password", superuser)
    _copy(POSTGRES, "postgres/owner-password", owner)
    _copy(POSTGRES, "postgres/service-password", service)
    _copy(PGBOUNCER, "pgbouncer/userlist.txt", f'"todo_service" "{service}"')
    _copy(VALKEY, "valkey/password", limits)
    _copy(VALKEY, "valkey/password.conf", f"requirepass {limits}")
    if CADDY_DATA.stat().st_uid != CADDY:
        CADDY_DATA.chmod(0o700)
        os.chown(CADDY_DATA, CADDY, CADDY)


def _secret(name: str) -> str:
    """Return the secret of this name, and create it if there is none."""
    file = ALL / name
    if not file.exists():
        _write(file, token_urlsafe(32), 0)
    return file.read_text().strip()


def _copy(user: int, name: str, text: str) -> None:
    _write(ALL.parent / name, text, user)


def _write(file: Path, text: str, user: int) -> None:
    """Write a file that only this user can read, as a whole or not at all."""
    unfinished = file.with_name(f".{file.name}")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    with unfinished.open("w") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.chmod(0o400)
    os.chown(unfinished, user, user)
    unfinished.rename(file)


if __name__ == "__main__":
    main()
