"""compose.yaml, run by Docker Compose: from nothing to an address with TLS.

The images of the service and of the pooler are built from their Dockerfiles. Images that cannot be
pulled where there is no registry have stand-ins with the same programs (tests/deploy/stand_ins).
"""

import json
import re
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.deploy.engine import Engine
from tests.deploy.stack import PASSWORD, Stack, User, negotiated_protocol

pytestmark = [pytest.mark.deploy, pytest.mark.usefixtures("_in_network")]

MAX_START_SECONDS = 90
REPLICAS = 2
LOGINS_PER_MINUTE = 5
"""The default of TODO_LIMIT_LOGIN_ACCOUNT."""


@pytest.fixture(scope="module")
def services(engine: Engine) -> dict[str, dict[str, Any]]:
    """The services as Compose understands the file."""
    configuration = json.loads(engine.docker("compose", "config", "--format=json"))
    found: dict[str, dict[str, Any]] = configuration["services"]
    return found


@pytest.fixture(scope="module")
def ada(stack: Stack) -> User:
    """A user."""
    with stack.engine.network():
        return stack.register("Ada")


def test_compose_accepts_the_file_without_a_warning(engine: Engine) -> None:
    outcome = engine.run("docker", "compose", "config", "--quiet")
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_everything_starts_from_nothing(stack: Stack) -> None:
    assert stack.seconds_to_start < MAX_START_SECONDS
    states = {
        container["Name"].removeprefix("/todo-"): container["State"]
        for container in stack.containers()
    }
    finished = {name for name, state in states.items() if state["Status"] == "exited"}
    assert finished == {"migrate-1", "secrets-1"}
    assert all(states[name]["ExitCode"] == 0 for name in finished)
    healthy = {name for name, state in states.items() if is_healthy(state)}
    assert healthy == {
        *("caddy-1", "pgbouncer-1", "postgres-1", "valkey-1"),
        *(f"todo-{number}" for number in range(1, REPLICAS + 1)),
    }


def is_healthy(state: dict[str, Any]) -> bool:
    return bool(state.get("Health", {}).get("Status") == "healthy")


def test_only_caddy_is_reachable_from_outside(services: dict[str, dict[str, Any]]) -> None:
    assert [name for name, service in services.items() if service.get("ports")] == ["caddy"]
    assert all(
        "network_mode" not in service for name, service in services.items() if name != "secrets"
    )
    assert services["secrets"]["network_mode"] == "none"
    behind = {
        name for name, service in services.items() if set(service.get("networks", ())) == {"back"}
    }
    assert behind == {"migrate", "pgbouncer", "postgres", "valkey"}


def test_no_container_has_more_rights_than_it_needs(stack: Stack) -> None:
    capabilities = {"caddy": ["CAP_NET_BIND_SERVICE"], "secrets": ["CAP_CHOWN"]}
    containers = stack.containers()
    assert len(containers) == 7 + REPLICAS - 1
    for container in containers:
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        host = container["HostConfig"]
        added = [f"CAP_{each.removeprefix('CAP_')}" for each in host["CapAdd"] or ()]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert added == capabilities.get(name, []), name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert not host["Privileged"], name
        assert 0 < host["Memory"] <= 2**30, name
        assert 0 < host["PidsLimit"] <= 200, name
        assert host["LogConfig"]["Config"]["max-size"], name
        user = container["Config"]["User"].partition(":")[0]
        assert name == "secrets" or int(user) > 0, name


def test_the_address_has_tls_and_http_2(stack: Stack) -> None:
    with stack.client() as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        assert "max-age=" in http.get("/healthz").headers["strict-transport-security"]
    assert negotiated_protocol(stack.tls()) == "h2"
    trusting_others = ssl.create_default_context()
    with (
        httpx.Client(verify=trusting_others) as http,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        http.get("https://localhost/healthz")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "other.example.com"])
def test_plain_http_is_refused(stack: Stack, host: str) -> None:
    """A redirect would hide that a token was sent in the clear (docs/security.md)."""
    answer = httpx.get("http://127.0.0.1/api/tasks", headers={"Host": host})
    assert (answer.status_code, answer.text) == (403, "Use https.")


def test_what_is_for_operators_is_hidden(stack: Stack) -> None:
    with stack.client() as http:
        for path in ("/readyz", "/startupz", "/metrics"):
            answer = http.get(path)
            assert (answer.status_code, answer.text) == (404, "")


def test_a_user_registers_logs_in_and_creates_a_task(ada: User) -> None:
    created = ada.create("Buy milk")
    assert created.status_code == 201, created.text
    assert "Buy milk" in ada.titles()
    url = f"/api/tasks/{created.json()['id']}"
    again = ada.http.get(url, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "content-encoding" not in again.headers
    assert again.headers["etag"] == created.headers["etag"]
    assert again.headers["etag"].startswith('"')


def test_both_replicas_serve(stack: Stack, ada: User) -> None:
    for _ in range(20):
        ada.titles()
    for number in range(1, REPLICAS + 1):
        log = stack.engine.docker("logs", f"todo-todo-{number}")
        outcome = stack.engine.run("docker", "logs", f"todo-todo-{number}")
        assert '"route":"/api/tasks"' in log + outcome.stderr


def test_an_event_arrives_at_once_and_its_stream_stays_open(stack: Stack) -> None:
    user = stack.register("Eva")
    with user.events() as lines:
        assert lines.headers["content-type"].startswith("text/event-stream")
        lines.wait_for("event: changed", 5)
        user.create("Buy milk")
        began = time.monotonic()
        lines.wait_for("event: changed", 5)
        assert time.monotonic() - began < 2.5  # each replica reads revisions every second
        lines.wait_for(":", 20)  # a comment every fifteen seconds
        user.create("Buy bread")
        lines.wait_for("event: changed", 5)


def test_a_request_for_changes_may_wait_for_thirty_seconds(ada: User) -> None:
    last = ada.http.get("/api/tasks/changes").json()["next"]
    query = {"since": last, "wait": "30"}
    began = time.monotonic()
    answer = ada.http.get("/api/tasks/changes", params=query, timeout=60)
    assert answer.status_code == 200, answer.text
    assert 29 < time.monotonic() - began < 40


def test_the_replicas_count_limits_together(stack: Stack) -> None:
    stack.register("Mallory")
    wrong = {"email": "mallory@example.com", "password": "a wrong password"}
    with stack.client() as http:
        statuses = [http.post("/api/auth/login", json=wrong).status_code for _ in range(10)]
    assert statuses == [401] * LOGINS_PER_MINUTE + [429] * (10 - LOGINS_PER_MINUTE)


def test_clients_cannot_choose_their_address(stack: Stack) -> None:
    stack.register("Grace")
    account = {"email": "grace@example.com", "password": PASSWORD}
    forged = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    with stack.client(**forged) as http:
        login = http.post("/api/auth/login", json=account).json()
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        sessions = http.get("/api/auth/sessions", headers=bearer).json()
    addresses = {session["address"] for session in sessions}
    assert "203.0.113.7" not in addresses
    assert all(address.startswith("172.30.80.") for address in addresses), addresses


def test_only_caddy_is_trusted_to_name_the_address_of_a_client(stack: Stack) -> None:
    """A request to a replica from another container of its network, which is not the proxy."""
    stack.register("Heidi")
    program = f"""
import json
from urllib.request import Request, urlopen

def call(path, token=None, body=None):
    headers = {{"Content-Type": "application/json", "X-Forwarded-For": "203.0.113.7"}}
    headers |= {{"Authorization": "Bearer " + token}} if token else {{}}
    data = json.dumps(body).encode() if body else None
    return json.load(urlopen(Request("http://todo:8000" + path, data, headers)))

account = {{"email": "heidi@example.com", "password": {PASSWORD!r}}}
token = call("/api/auth/login", body=account)["access_token"]
print([session["address"] for session in call("/api/auth/sessions", token)])
"""
    output = stack.engine.docker(
        *("run", "--rm", "--network=todo_front", "--entrypoint=python3", "todo", "-c", program)
    )
    assert "203.0.113.7" not in output
    assert "172.30.80." in output


def test_no_answer_is_lost_when_a_replica_is_killed(stack: Stack, ada: User) -> None:
    def read(_: int) -> int:
        return ada.http.get("/api/tasks").status_code

    def write(number: int) -> tuple[str, int]:
        title = f"written {number}"
        return title, ada.create(title).status_code

    [victim, _] = stack.containers("todo")
    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(write, number) for number in range(300)]
        reads = list(threads.map(read, range(100)))
        stack.engine.run("kill", "-9", str(victim["State"]["Pid"]))
        reads += list(threads.map(read, range(300)))
        written = [each.result() for each in writes]
    assert set(reads) == {200}
    acknowledged = {title for title, status in written if status == 201}
    # A write whose connection broke may have taken effect, so Caddy does not repeat it.
    assert len(written) - len(acknowledged) <= 8
    assert {status for _, status in written} <= {201, 502}
    assert acknowledged <= set(ada.titles())
    deadline = time.monotonic() + 60
    while not all(is_healthy(each["State"]) for each in stack.containers("todo")):
        assert time.monotonic() < deadline, "the replica was not started again"
        time.sleep(0.5)


def test_the_role_of_the_service_owns_nothing_and_cannot_change_the_schema(stack: Stack) -> None:
    def query(statement: str) -> str:
        psql = ("psql", "--username=postgres", "--dbname=todo", "--tuples-only", "--no-align")
        host = "--host=/run/postgresql"
        return stack.compose("exec", "--no-TTY", "postgres", *psql, host, "--command", statement)

    tables = query(
        "SELECT tablename, tableowner, has_table_privilege('todo_service', tablename, 'INSERT')"
        " FROM pg_tables WHERE schemaname = 'public'"
    ).split()
    rows = {name: (owner, may) for name, owner, may in (line.split("|") for line in tables)}
    assert rows.pop("alembic_version") == ("todo_owner", "f")
    assert len(rows) > 10
    assert set(rows.values()) == {("todo_owner", "t")}
    assert query("SELECT has_schema_privilege('todo_service', 'public', 'CREATE')").strip() == "f"
    assert query("SELECT rolsuper FROM pg_roles WHERE rolname ~ '^todo' GROUP BY 1").strip() == "f"
    used = query("SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'todo'").split()
    assert set(used) == {"postgres", "todo_service"}


def test_the_check_of_the_installation_only_misses_what_an_operator_decides(stack: Stack) -> None:
    """A mail server, and TLS to the database, which is in a network of its own."""
    outcome = stack.engine.run("docker", "compose", "exec", "--no-TTY", "todo", "todo", "check")
    report = outcome.stdout + outcome.stderr
    errors = re.findall(r"^error\s+(.*)", report, re.MULTILINE)
    assert [error.partition(":")[0] for error in errors] == ["database", "mail"], report
    assert re.search(r"^ok\s+limits$", report, re.MULTILINE), report


def test_an_operator_manages_accounts_in_a_container(stack: Stack, ada: User) -> None:
    assert ada.tokens["user"]["email"] == "ada@example.com"
    listed = stack.compose("exec", "--no-TTY", "todo", "todo", "user", "list")
    assert "ada@example.com" in listed


def test_each_container_has_only_its_own_secrets(stack: Stack) -> None:
    found = {}
    for service in ("caddy", "todo", "pgbouncer", "postgres", "valkey"):
        program = "find /run/secrets -type f -printf '%f %m %U\\n' 2>/dev/null; true"
        listed = stack.compose("exec", "--no-TTY", service, "sh", "-c", program)
        found[service] = {tuple(line.split()) for line in listed.splitlines()}
    assert found == {
        "caddy": set(),
        "todo": {
            ("database-url", "400", "10001"),
            ("jwt-secret", "400", "10001"),
            ("rate-limit-storage", "400", "10001"),
        },
        "pgbouncer": {("userlist.txt", "400", "10002")},
        "postgres": {
            ("superuser-password", "400", "999"),
            ("owner-password", "400", "999"),
            ("service-password", "400", "999"),
        },
        "valkey": {("password", "400", "999"), ("password.conf", "400", "999")},
    }


def test_no_secret_is_in_a_log_or_in_the_description_of_a_container(stack: Stack) -> None:
    secrets = all_secrets(stack)
    assert len(set(secrets)) == 5
    assert all(len(secret) >= 43 for secret in secrets)
    shown = stack.log() + json.dumps(stack.containers())
    assert [number for number, secret in enumerate(secrets) if secret in shown] == []


def all_secrets(stack: Stack) -> list[str]:
    read = ("--entrypoint=sh", "secrets", "-c", "cat /secrets/all/*")
    return stack.compose("run", "--rm", "--no-TTY", *read).split()


def test_the_ticket_of_a_stream_is_not_logged(stack: Stack, ada: User) -> None:
    answer = ada.http.post("/api/tasks/events/ticket")
    assert answer.status_code == 201, answer.text
    ticket = answer.json()["ticket"]
    with httpx.Client(verify=stack.tls()) as http:
        url = f"https://localhost/api/tasks/events?ticket={ticket}"
        with http.stream("GET", url) as stream:
            assert stream.status_code == 200
    assert ticket not in stack.log("caddy", "todo")


def test_everything_is_as_before_after_all_containers_were_removed(stack: Stack, ada: User) -> None:
    before = all_secrets(stack)
    titles = ada.titles()
    stack.down()
    assert stack.engine.docker("ps", "--all", "--quiet") == ""
    stack.up()
    assert all_secrets(stack) == before
    assert ada.titles() == titles  # also with the same token, and the same certificate of Caddy


def test_containers_stop_in_time_and_by_themselves(stack: Stack) -> None:
    """A container that must be killed has status 137."""
    began = time.monotonic()
    stack.compose("stop")
    assert time.monotonic() - began < 30
    statuses = {each["Name"]: each["State"]["ExitCode"] for each in stack.containers()}
    assert set(statuses.values()) == {0}, statuses
    assert not re.search(r"panic|Traceback", stack.log())
    stack.up()
