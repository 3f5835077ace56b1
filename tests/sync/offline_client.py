"""A client that works offline: it queues its writes in a file, and keeps a copy of the tasks.

It shows what a client needs to lose nothing and to do nothing twice, whatever happens to it, to
its connections or to the service: a key for each write, the version that the user has seen, and
the changes since the last ones that it has read.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

type Json = dict[str, Any]  # the values are those of JSON

_REQUESTS = {
    "create": ("POST", ""),
    "edit": ("PATCH", "/{}"),
    "toggle": ("PATCH", "/{}/complete"),
    "delete": ("DELETE", "/{}"),
}


class OfflineClient:
    """One of a user's devices. Made again from the same file, it continues where it was."""

    def __init__(self, file: Path, http: httpx.Client) -> None:
        self._file = file
        self._http = http
        self._state: Json = {"queue": [], "done": [], "ids": {}, "tasks": {}, "since": None}
        if file.exists():
            self._state = json.loads(file.read_text())

    @property
    def queue(self) -> list[Json]:
        """The writes that the service has not answered yet, the oldest first."""
        return list(self._state["queue"])

    @property
    def done(self) -> list[Json]:
        """The writes that were answered, each with its `outcome` and the `id` of its task."""
        return list(self._state["done"])

    @property
    def tasks(self) -> dict[int, Json]:
        """The copy of the tasks, without the writes that are still queued."""
        return {int(task_id): task for task_id, task in self._state["tasks"].items()}

    def write(self, kind: str, task: int | str, **body: object) -> str:
        """Queue a write, and return its key. A new task is named by the key of its `create`."""
        seen = self._state["tasks"].get(str(task), {}).get("version")
        write = {"key": str(uuid4()), "kind": kind, "task": task, "seen": seen, "body": body}
        self._state["queue"].append(write)
        self._save()
        return str(write["key"])

    def sync(self) -> None:
        """Send what is queued and read what has changed, as far as that is possible now."""
        with suppress(httpx.TransportError):
            while self._state["queue"] and self._send(self._state["queue"][0]):
                pass
            while self._read_changes():
                pass

    def _send(self, write: Json) -> bool:
        """Send the first write, and return whether to go on. Nothing is forgotten before it."""
        method, path = _REQUESTS[write["kind"]]
        task_id = self._id_of(write)
        headers = {"Idempotency-Key": write["key"]}
        if write["seen"] is not None:
            headers["If-Match"] = f'"{write["seen"]}"'
        url = f"/api/tasks{path.format(task_id)}"
        answer = self._http.request(method, url, json=write["body"] or None, headers=headers)
        if answer.is_success:
            outcome = "replayed" if "idempotent-replayed" in answer.headers else "applied"
            self._finish(write, outcome, answer.json() if answer.content else {"id": task_id})
        elif answer.status_code == 412 and write["kind"] != "delete":
            # The change is made to the newer version. The key stays: nothing was written with it.
            write["seen"] = int(answer.headers["etag"].strip('"'))
            self._save()
        elif answer.status_code in {404, 412}:
            # The task is gone, or was changed since the user decided to delete it: it is kept.
            self._finish(write, "dropped", {"id": task_id})
        else:
            assert answer.status_code in {409, 429, 502, 503, 504}, answer.text
            return False
        return True

    def _finish(self, write: Json, outcome: str, task: Json) -> None:
        self._state["queue"].remove(write)
        self._state["done"].append({**write, "outcome": outcome, "id": task["id"]})
        if write["kind"] == "create":
            self._state["ids"][write["key"]] = task["id"]
        for later in self._state["queue"]:
            if "version" in task and task["id"] == self._id_of(later):
                later["seen"] = task["version"]  # the user has seen this change, which is theirs
        self._save()

    def _id_of(self, write: Json) -> int | str:
        found: int | str = self._state["ids"].get(write["task"], write["task"])
        return found

    def _read_changes(self) -> bool:
        """Apply a page of changes, and return whether there are more."""
        since = self._state["since"]
        parameters = {"limit": "50"} | ({} if since is None else {"since": since})
        answer = self._http.get("/api/tasks/changes", params=parameters)
        # Expired, or signed with a key that the service does not have any more.
        if since is not None and answer.status_code in {400, 410}:
            self._state |= {"since": None, "tasks": {}}
            return True
        if not answer.is_success:
            return False
        page = answer.json()
        for change in page["changes"]:
            self._state["tasks"].pop(str(change["id"]), None)
            if "task" in change:
                self._state["tasks"][str(change["id"])] = change["task"]
        self._state["since"] = page["next"]
        self._save()
        return bool(page["more"])

    def _save(self) -> None:
        """Replace the file at once, so that it is never half written."""
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(self._state))
        written.replace(self._file)
