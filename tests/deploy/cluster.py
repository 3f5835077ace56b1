"""A stand-in for the API server of a cluster, with as much of the protocol as Helm needs.

It stores what it is given, records each creation and deletion in order, and tells that a Job has
ended as soon as a client watches it. It starts no pods.
"""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from select import select
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Document = dict[str, Any]  # JSON

_KINDS: Mapping[str, Mapping[str, str]] = {
    "v1": {
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "batch/v1": {"jobs": "Job"},
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}


class Cluster:
    """What is stored, by path, and what has happened."""

    def __init__(self, folder: Path, *, url: str, jobs_succeed: bool) -> None:
        self.objects: dict[str, Document] = {}
        self.events: list[tuple[str, str, str]] = []
        self.jobs_succeed = jobs_succeed
        self.lock = Lock()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "test", "cluster": {"server": url}}],
                    "users": [{"name": "test", "user": {}}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                    "current-context": "test",
                }
            )
        )

    def named(self, kind: str) -> set[str]:
        """Return the names of the stored objects of a kind, without those of Helm itself."""
        return {
            each["metadata"]["name"]
            for each in self.objects.values()
            if each["kind"] == kind and not is_of_helm(each)
        }

    def add(self, path: str, given: Document) -> None:
        given["metadata"] |= {"uid": path, "resourceVersion": "1", "namespace": "todo"}
        self.objects[path] = given
        self.record("create", given)

    def record(self, what: str, stored: Document) -> None:
        if not is_of_helm(stored):
            self.events.append((what, stored["kind"], stored["metadata"]["name"]))


def is_of_helm(stored: Document) -> bool:
    name: str = stored["metadata"]["name"]
    return name.startswith("sh.helm.release.")


@contextmanager
def running_cluster(folder: Path, *, jobs_succeed: bool = True) -> Iterator[Cluster]:
    """Run a cluster on loopback until the end of the block."""
    server = _Server(folder, jobs_succeed=jobs_succeed)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, *, jobs_succeed: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        url = f"http://127.0.0.1:{self.server_port}"
        self.cluster = Cluster(folder, url=url, jobs_succeed=jobs_succeed)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def cluster(self) -> Cluster:
        assert isinstance(self.server, _Server)
        return self.server.cluster

    def do_GET(self) -> None:
        path, query = self._target()
        if path in _DISCOVERY:
            self._answer(_DISCOVERY[path])
        elif path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
            self._answer({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "todo"}})
        elif (kind := _kind_of(path)) is not None:
            if query.get("watch"):
                self._watch(path, query)
            else:
                items = self._selected(path, query)
                self._answer(
                    {
                        "kind": f"{kind[1]}List",
                        "apiVersion": kind[0],
                        "metadata": {"resourceVersion": "1"},
                        "items": items,
                    }
                )
        elif path in self.cluster.objects:
            self._answer(self.cluster.objects[path])
        else:
            self._fail(HTTPStatus.NOT_FOUND, "NotFound")

    def do_POST(self) -> None:
        path, _ = self._target()
        given = self._body()
        name = given["metadata"]["name"]
        with self.cluster.lock:
            if f"{path}/{name}" in self.cluster.objects:
                self._fail(HTTPStatus.CONFLICT, "AlreadyExists")
                return
            self.cluster.add(f"{path}/{name}", given)
        self._answer(given, HTTPStatus.CREATED)

    def do_PUT(self) -> None:
        path, _ = self._target()
        given = self._body()
        self.cluster.objects[path] = given
        self._answer(given)

    def do_PATCH(self) -> None:
        """Change an object, or create it if Helm 4 applies one that does not exist."""
        path, _ = self._target()
        sent = self._sent()
        with self.cluster.lock:
            stored = self.cluster.objects.get(path)
            if stored is None and "apply-patch" in self.headers["Content-Type"]:
                stored = yaml.safe_load(sent)
                self.cluster.add(path, stored)
            elif stored is not None:
                self.cluster.record("change", stored)
        if stored is None:
            self._fail(HTTPStatus.NOT_FOUND, "NotFound")
        else:
            self._answer(stored)

    def do_DELETE(self) -> None:
        path, _ = self._target()
        self._sent()
        with self.cluster.lock:
            stored = self.cluster.objects.pop(path, None)
            if stored is not None:
                self.cluster.record("delete", stored)
        if stored is None:
            self._fail(HTTPStatus.NOT_FOUND, "NotFound")
        else:
            self._answer(stored)

    def _selected(self, path: str, query: Mapping[str, str]) -> list[Document]:
        labels = dict(each.split("=") for each in query.get("labelSelector", "").split(",") if each)
        _, _, name = query.get("fieldSelector", "").partition("metadata.name=")
        return [
            stored
            for each, stored in list(self.cluster.objects.items())
            if each.rpartition("/")[0] == path
            and name in ("", stored["metadata"]["name"])
            and labels.items() <= stored["metadata"].get("labels", {}).items()
        ]

    def _watch(self, path: str, query: Mapping[str, str]) -> None:
        """Tell that the watched Jobs have ended, and then nothing more."""
        if query.get("sendInitialEvents"):
            self._fail(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid")  # clients then list and watch
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for stored in self._selected(path, query):
            if stored["kind"] == "Job":
                ended = "Complete" if self.cluster.jobs_succeed else "Failed"
                condition = {"type": ended, "status": "True", "reason": "Test", "message": "ended"}
                stored["status"] = {"conditions": [condition]}
            event = {"type": "MODIFIED", "object": stored}
            with suppress(ConnectionError):  # the client has left already
                self.wfile.write(f"{json.dumps(event)}\n".encode())
        select([self.connection], [], [], _WATCH_SECONDS)  # until the client leaves

    def _target(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _sent(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _body(self) -> Document:
        sent = self._sent()
        if sent.startswith(_PROTOBUF):
            return _secret_of(sent)
        document: Document = json.loads(sent)
        return document

    def _answer(self, document: Document, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, status: HTTPStatus, reason: str) -> None:
        failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}}
        self._answer({**failure, "reason": reason, "message": reason, "code": status}, status)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


_WATCH_SECONDS = 60
_PROTOBUF = b"k8s\0"


def _secret_of(sent: bytes) -> Document:
    """Decode a Secret in which Helm stores a release, and which is sent as protobuf."""
    secret = _fields(_fields(sent.removeprefix(_PROTOBUF))[2][0])
    metadata = _fields(secret[1][0])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": secret[3][0].decode(),
        "metadata": {
            "name": metadata[1][0].decode(),
            "labels": {key.decode(): value.decode() for key, value in map(_entry, metadata[11])},
        },
        "data": {key.decode(): b64encode(value).decode() for key, value in map(_entry, secret[2])},
    }


def _entry(entry: bytes) -> tuple[bytes, bytes]:
    """Return the key and the value of an entry of a map."""
    fields = _fields(entry)
    return fields[1][0], fields[2][0]


def _fields(message: bytes) -> Mapping[int, list[bytes]]:
    """Return the fields of a message that are bytes, by number; the others are left out."""
    found: dict[int, list[bytes]] = defaultdict(list)
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while position < len(message):
        tag = number()
        length = number()  # or the value of a field that is a number
        if tag & 7 == _BYTES:
            found[tag >> 3].append(message[position : position + length])
            position += length
    return found


_BYTES = 2
"""The wire type of strings, bytes and messages."""


def _kind_of(path: str) -> tuple[str, str] | None:
    """Return the version and kind of a collection's path."""
    for version, kinds in _KINDS.items():
        for plural, kind in kinds.items():
            if path == f"{_root(version)}/namespaces/todo/{plural}":
                return version, kind
    return None


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _discovery() -> dict[str, Document]:
    found: dict[str, Document] = {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
    }
    groups = []
    specifications = {}
    for version, kinds in _KINDS.items():
        found[_root(version)] = {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {
                    "name": plural,
                    "singularName": "",
                    "namespaced": True,
                    "kind": kind,
                    "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
                }
                for plural, kind in kinds.items()
            ],
        }
        group, slash, number = version.partition("/")
        if slash:
            versions = [{"groupVersion": version, "version": number}]
            groups.append({"name": group, "versions": versions, "preferredVersion": versions[0]})
        # Helm lets the server validate fields if it says that it does.
        path = f"/openapi/v3{_root(version)}"
        specifications[path.removeprefix("/openapi/v3/")] = {"serverRelativeURL": path}
        found[path] = {
            "openapi": "3.0.0",
            "info": {"title": "test", "version": "1"},
            "paths": {
                f"{_root(version)}/namespaces/{{namespace}}/{plural}/{{name}}": {
                    "patch": {
                        "x-kubernetes-group-version-kind": {
                            "group": group if slash else "",
                            "version": number if slash else version,
                            "kind": kind,
                        },
                        "parameters": [{"name": "fieldValidation", "in": "query"}],
                        "responses": {},
                    }
                }
                for plural, kind in kinds.items()
            },
        }
    found["/openapi/v3"] = {"paths": specifications}
    found["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return found


_DISCOVERY = _discovery()
