"""The Helm chart: what it renders is valid, consistent and safe, and its containers work."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.dependencies import ROOT
from tests.deploy.cluster import Cluster, running_cluster
from tests.deploy.helm import (
    CHART,
    FOLDER,
    HELM,
    HELMS,
    Manifest,
    Release,
    Values,
    annotations_of,
    component_of,
    refusal,
    render,
    run,
)
from tests.docs.settings_page import variable_of
from tests.support.command import TODO
from tests.support.node import install, program
from tests.support.postgres import create_database, drop_database
from tests.support.processes import free_port
from tests.support.waiting import until
from todo_api.server.options import server_options
from todo_api.settings import Settings, load_settings

pytestmark = pytest.mark.live

UV = os.environ.get("UV", "uv")
VALIDATOR = "kubernetes-validate==1.37.0"
KUBERNETES = ("1.29.0", "1.33.0", "1.37.0")
"""The oldest version that the chart allows, the newest of the validator, and one between them."""

IN_CLUSTER = ("--namespace", "todo")
VARIABLES = {variable_of(name, info) for name, info in Settings.model_fields.items()}
SECRET = "0123456789abcdef0123456789abcdef"
SECRETS = {"DATABASE_URL": "postgresql://todo:hidden@db/todo", "TODO_JWT_SECRET": SECRET}
POSTGRESQL: dict[str, Any] = {"database": {"type": "postgresql"}, "secrets": SECRETS}
EVERYTHING: Values = {
    "image": {"repository": "registry.example/todo", "digest": f"sha256:{'a' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "database": {"type": "postgresql"},
    "secrets": {**SECRETS, "TODO_RATE_LIMIT_STORAGE": "redis://:hidden@valkey"},
    "settings": {
        "TODO_LOG_LEVEL": "debug",
        "TODO_MAX_TASKS_PER_USER": 100_000_000,
        "TODO_REMINDER_EMAILS": False,
        "TODO_TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
    },
    "workers": 2,
    "autoscaling": {"enabled": True},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
        "hosts": ["todo.example.com", "api.example.com"],
        "tlsSecretName": "todo-tls",
    },
    "networkPolicy": {
        "clients": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
        ],
        "egress": {
            "valkey": None,
            "database": {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 6543}]},
        },
    },
    "metrics": {
        "enabled": True,
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "serviceAccount": {"annotations": {"example.com/a": "b"}},
    "service": {"annotations": {"example.com/a": "b"}},
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"example.com/a": "b"},
    "priorityClassName": "high",
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"a": "b"}},
                }
            ]
        }
    },
    "extraEnv": [
        {"name": "TODO_APP_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    ],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
}
NOTHING: Values = {
    "database": {"type": "postgresql"},
    "existingSecret": "existing",
    "migration": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "serviceAccount": {"create": False},
}
EXISTING: Values = {
    "database": {"type": "postgresql"},
    "existingSecret": "existing",
    "replicas": 3,
    "serviceAccount": {"create": False, "name": "someone"},
    "fullnameOverride": "a-name-of-more-than-fifty-three-characters-which-is-cut-off",
}
CASES: Mapping[str, Values] = {
    "default": {},
    "postgresql": POSTGRESQL,
    "everything": EVERYTHING,
    "nothing": NOTHING,
    "existing": EXISTING,
    "existing claim": {"persistence": {"existingClaim": "mine", "size": "1Gi"}},
}


@pytest.fixture(params=CASES)
def values(request: pytest.FixtureRequest) -> Values:
    return CASES[request.param]


@pytest.fixture
def release(values: Values) -> Release:
    return render(values)


class TestRendering:
    @pytest.mark.parametrize("helm", HELMS)
    def test_the_linter_of_helm_finds_nothing(self, values: Values, helm: str) -> None:
        report = run(helm, "lint", "--strict", str(CHART), values=values)
        assert set(re.findall(r"^\[(?!INFO).*", report, re.MULTILINE)) == set()
        assert re.findall(r"^\[INFO\].*", report, re.MULTILINE) == [
            "[INFO] Chart.yaml: icon is recommended"
        ]

    def test_every_version_of_helm_renders_the_same(self, values: Values, release: Release) -> None:
        for helm in HELMS:
            assert render(values, helm=helm) == release

    def test_a_packaged_chart_renders_the_same(self, tmp_path: Path) -> None:
        run(HELM, "package", str(CHART), "--destination", str(tmp_path))
        [package] = tmp_path.iterdir()
        assert render(EVERYTHING, chart=package) == render(EVERYTHING)

    def test_the_names_of_a_release_and_of_its_objects_fit(self) -> None:
        names = {
            each["metadata"]["name"]
            for name in ("a", "todo", "todo-staging", "x" * 53)
            for each in render(EVERYTHING, name=name).manifests
        }
        assert {"todo", "a-todo", "todo-staging", "todo-migrate", "x" * 53} <= names
        assert max(map(len, names)) <= 63

    def test_the_values_on_the_page_of_the_documentation_are_accepted(self) -> None:
        page = (ROOT / "docs" / "kubernetes.md").read_text()
        examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.S)]
        first, network = examples
        release = render({**first, **network})
        assert release.of("Deployment")["spec"]["replicas"] == 2
        assert ports(release.named("NetworkPolicy", "todo")["spec"]["egress"]) == {
            *(53, 443, 465, 587, 5432, 6379)
        }
        listed = re.search(r"on any host: (.*?)\. Add", page, re.DOTALL)
        assert listed
        default = render({}).of("NetworkPolicy")["spec"]["egress"]
        assert {int(port) for port in re.findall(r"\d+", listed[1])} == ports(default)


class TestSchemas:
    @pytest.mark.parametrize("version", KUBERNETES)
    def test_every_manifest_follows_the_schemas_of_kubernetes(
        self, version: str, tmp_path: Path
    ) -> None:
        releases = [render(values) for values in CASES.values()]
        report = validated(releases, version, tmp_path)
        manifests = sum(len(release.manifests) for release in releases)
        assert report.returncode == 0, report.stdout
        assert report.stdout.count(" passed for resource ") == manifests - 1
        assert report.stdout.count("Couldn't find schema for kind ServiceMonitor") == 1
        assert len(report.stdout.splitlines()) == manifests

    @pytest.mark.parametrize("change", [{"replica": 2}, {"replicas": "two"}])
    def test_a_manifest_with_a_wrong_field_is_noticed(
        self, change: dict[str, Any], tmp_path: Path
    ) -> None:
        release = render({})
        release.of("Deployment")["spec"] |= change
        report = validated([release], KUBERNETES[0], tmp_path)
        assert report.returncode == 1
        assert "did not validate for resource deployment/todo" in report.stdout

    def test_the_service_monitor_follows_the_schema_of_the_prometheus_operator(self) -> None:
        monitor = render(EVERYTHING).of("ServiceMonitor")
        assert monitor_is_valid(monitor)
        assert monitor["spec"].keys() == {"selector", "endpoints", "jobLabel"}
        [endpoint] = monitor["spec"]["endpoints"]
        assert endpoint.keys() == {"port", "path", "interval", "scrapeTimeout"}
        endpoint["interval"] = "30"
        assert not monitor_is_valid(monitor)


class TestSettings:
    def test_every_variable_of_a_container_is_a_setting(self, release: Release) -> None:
        for pod in release.pods():
            [container] = pod["spec"]["containers"]
            for variable in container.get("env", []):
                assert variable["name"] in VARIABLES

    def test_every_setting_that_the_schema_of_the_values_names_exists(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())
        [_, forbidden] = schema["properties"]["settings"]["propertyNames"]["allOf"]
        named = set(forbidden["not"]["enum"])
        assert named <= VARIABLES
        text = (CHART / "values.yaml").read_text()
        assert set(re.findall(r"\b(?:TODO|BETTER_AUTH)_[A-Z_]+\b", text)) <= VARIABLES

    def test_the_service_accepts_the_settings_of_a_pod(
        self, values: Values, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        release = render({**values, "extraEnv": []})
        monkeypatch.chdir(tmp_path)
        for name, value in environment(release, release.of("Deployment")).items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        assert settings.is_embedded == is_sqlite(values)
        if values is EVERYTHING:
            assert settings.max_tasks_per_user == 100_000_000
            assert settings.reminder_emails is False
            assert settings.trusted_proxies == ("10.0.0.0/8", "fd00::/8")
            assert settings.log_level == "debug"

    def test_no_secret_is_outside_of_a_secret(self) -> None:
        release = render(EVERYTHING)
        elsewhere = [each for each in release.manifests if each["kind"] != "Secret"]
        text = yaml.safe_dump_all(elsewhere)
        assert SECRET not in text
        assert "hidden" not in text
        for secret in release.all("Secret"):
            assert secret["stringData"] == EVERYTHING["secrets"]

    @pytest.mark.parametrize("source", ["secrets", "extraEnv"])
    def test_only_the_job_has_the_password_of_the_owner_of_the_tables(
        self, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name, owner = "TODO_MIGRATION_DATABASE_URL", "postgresql://owner:hidden@db/todo"
        given: dict[str, Any] = {
            "secrets": {"secrets": {**SECRETS, name: owner}},
            "extraEnv": {"extraEnv": [{"name": name, "value": owner}]},
        }
        release = render({**POSTGRESQL, **given[source]})
        for workload in ("Deployment", "Job"):
            [container] = release.of(workload)["spec"]["template"]["spec"]["containers"]
            names = [variable["name"] for variable in container["env"]]
            assert len(names) == len(set(names))
        variables = environment(release, release.of("Deployment"))
        assert owner not in variables.values()
        assert environment(release, release.of("Job"))[name] == owner
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        assert load_settings().migration_database_url is None

    def test_every_setting_that_may_contain_a_password_is_refused_outside_of_a_secret(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())
        [_, forbidden] = schema["properties"]["settings"]["propertyNames"]["allOf"]
        page = (ROOT / "docs" / "settings.md").read_text()
        listed = re.search(r"are (`DATABASE_URL`, .*?)\.$", page, re.MULTILINE)
        assert listed
        assert set(re.findall(r"`(\w+)`", listed[1])) <= set(forbidden["not"]["enum"])

    def test_a_changed_secret_or_setting_replaces_the_pods(self) -> None:
        def template(**changes: Any) -> Manifest:
            pod: Manifest = render({**POSTGRESQL, **changes}).of("Deployment")["spec"]["template"]
            return pod

        unchanged = template()
        assert template() == unchanged
        assert template(secrets={**SECRETS, "TODO_JWT_SECRET": SECRET[::-1]}) != unchanged
        assert template(settings={"TODO_LOG_LEVEL": "debug"}) != unchanged

    @pytest.mark.parametrize("helm", HELMS)
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"replicas": 2}, "More than one replica needs PostgreSQL"),
            ({"autoscaling": {"enabled": True}}, "More than one replica needs PostgreSQL"),
            ({"secrets": SECRETS}, "only used with database.type=postgresql"),
            ({"database": {"type": "postgresql"}}, "set existingSecret, or secrets.DATABASE_URL"),
            (
                {**POSTGRESQL, "secrets": {"DATABASE_URL": "postgresql://db/todo"}},
                "secrets.TODO_JWT_SECRET (openssl rand -base64 32)",
            ),
            ({**POSTGRESQL, "existingSecret": "a"}, "either existingSecret or secrets"),
            ({**POSTGRESQL, "terminationGracePeriodSeconds": 49}, "must be at least 50"),
            ({"metrics": {"serviceMonitor": {"enabled": True}}}, "needs metrics.enabled=true"),
            ({"metrics": {"port": 8000}}, "port"),
            ({"ingress": {"enabled": True}}, "ingress.hosts"),
            ({"settings": {"TODO_JWT_SECRET": SECRET}}, "TODO_JWT_SECRET"),
            ({"settings": {"TODO_RATE_LIMIT_STORAGE": "redis://a"}}, "TODO_RATE_LIMIT_STORAGE"),
            ({"settings": {"TODO_DRAIN_DELAY": "1s"}}, "TODO_DRAIN_DELAY"),
            ({"settings": {"PATH": "/"}}, "PATH"),
            ({"replicaCount": 2}, "replicaCount"),
            ({"database": {"type": "mysql"}}, "database"),
        ],
    )
    def test_wrong_values_are_refused_with_a_reason(
        self, wrong: Values, message: str, helm: str
    ) -> None:
        assert message in refusal(wrong, helm=helm)


class TestConsistency:
    def test_the_selectors_select_the_pods_of_the_api_and_no_others(self, release: Release) -> None:
        pods = list(release.pods())
        deployment = release.of("Deployment")
        selectors = [deployment["spec"]["selector"]["matchLabels"]]
        selectors += [each["spec"]["selector"] for each in release.all("Service")]
        selectors += [
            each["spec"]["selector"]["matchLabels"] for each in release.all("PodDisruptionBudget")
        ]
        selectors += [
            each["labelSelector"]["matchLabels"]
            for each in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ]
        assert len(selectors) >= 4
        for selector in selectors:
            assert selected(selector, pods) == [deployment["spec"]["template"]]

    def test_each_network_policy_selects_pods_of_one_kind(self) -> None:
        release = render(EVERYTHING)
        pods = list(release.pods())
        api, migration = (release.named("NetworkPolicy", name) for name in ("todo", "todo-migrate"))
        [pod] = selected(api["spec"]["podSelector"]["matchLabels"], pods)
        assert pod == release.of("Deployment")["spec"]["template"]
        [pod] = selected(migration["spec"]["podSelector"]["matchLabels"], pods)
        assert pod == release.of("Job")["spec"]["template"]

    def test_a_network_policy_allows_what_is_needed_and_nothing_else(self) -> None:
        release = render(EVERYTHING)
        api = release.named("NetworkPolicy", "todo")["spec"]
        migration = release.named("NetworkPolicy", "todo-migrate")["spec"]
        for policy in (api, migration):
            assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert migration["ingress"] == []
        assert ports(migration["egress"]) == {53, 6543}
        assert ports(api["egress"]) == {53, 443, 465, 587, 4318, 6543}
        database = [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
        assert [rule["to"] for rule in api["egress"] if "to" in rule] == [database]
        by_port = {rule["ports"][0]["port"]: rule["from"] for rule in api["ingress"]}
        assert by_port.keys() == {"http", "metrics"}
        ingress, test = by_port["http"]
        assert ingress == EVERYTHING["networkPolicy"]["clients"][0]
        [pod] = selected(test["podSelector"]["matchLabels"], list(release.pods()))
        assert component_of(pod) == "test"

    def test_what_refers_to_another_object_or_port_names_one_that_exists(self) -> None:
        release = render(EVERYTHING)
        deployment = release.of("Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        named = {port["name"] for port in container["ports"]}
        targets = {
            port["targetPort"] for each in release.all("Service") for port in each["spec"]["ports"]
        }
        assert targets == named == {"http", "metrics"}
        scaled = release.of("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
        assert (scaled["apiVersion"], scaled["kind"], scaled["name"]) == (
            deployment["apiVersion"],
            "Deployment",
            deployment["metadata"]["name"],
        )
        assert "replicas" not in deployment["spec"], "an upgrade would undo the scaling"
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        assert account == release.of("ServiceAccount")["metadata"]["name"]
        service = release.of("Service", "api")
        for rule in release.of("Ingress")["spec"]["rules"]:
            [path] = rule["http"]["paths"]
            assert path["backend"]["service"] == {
                "name": service["metadata"]["name"],
                "port": {"name": service["spec"]["ports"][0]["name"]},
            }
        monitor = release.of("ServiceMonitor")["spec"]
        [monitored] = selected(monitor["selector"]["matchLabels"], release.all("Service"))
        assert component_of(monitored) == "metrics"
        assert monitored["metadata"]["labels"][monitor["jobLabel"]] == "todo"
        assert monitor["endpoints"][0]["port"] == monitored["spec"]["ports"][0]["name"]

    def test_the_metrics_are_on_no_service_of_the_api(self) -> None:
        [port] = render(EVERYTHING).of("Service", "api")["spec"]["ports"]
        assert port["name"] == "http"

    @pytest.mark.parametrize("case", ["postgresql", "everything", "existing"])
    def test_everything_that_the_job_needs_exists_before_it_runs(self, case: str) -> None:
        release = render(CASES[case])
        job = release.of("Job")
        assert annotations_of(job)["helm.sh/hook"] == "pre-install,pre-upgrade"
        pod = job["spec"]["template"]["spec"]
        [container] = pod["containers"]
        needed = {container["envFrom"][0]["secretRef"]["name"]}
        needed |= {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for variable in container["env"]
            if "secretKeyRef" in variable.get("valueFrom", {})
        }
        if case == "existing":
            assert needed == {"existing"}
            assert pod["serviceAccountName"] == "someone"
        else:
            [secret] = needed
            assert is_earlier_hook(release.named("Secret", secret), job)
            assert "serviceAccountName" not in pod
        assert is_earlier_hook(release.of("NetworkPolicy", "migration"), job)

    def test_the_objects_of_the_release_itself_are_no_hooks(self, release: Release) -> None:
        for each in release.manifests:
            is_hook = "helm.sh/hook" in annotations_of(each)
            assert is_hook == (component_of(each) in {"migration", "test"})

    def test_a_pod_has_the_time_that_the_service_takes_to_stop(self, values: Values) -> None:
        release = render({**values, "extraEnv": []})
        deployment = release.of("Deployment")
        grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        delay = environment(release, deployment).get("TODO_DRAIN_DELAY", "0s")
        in_flight = server_options(Settings())["timeout_graceful_shutdown"]
        assert grace >= int(delay.removesuffix("s")) + in_flight + 10

    def test_a_pod_that_stops_drains_for_longer_than_its_readiness_takes_to_notice(self) -> None:
        release = render(POSTGRESQL)
        deployment = release.of("Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        probe = container["readinessProbe"]
        delay = int(environment(release, deployment)["TODO_DRAIN_DELAY"].removesuffix("s"))
        assert delay >= probe["periodSeconds"] * probe["failureThreshold"] + 5

    def test_an_upgrade_on_postgresql_always_has_all_replicas(self) -> None:
        strategy = render(POSTGRESQL).of("Deployment")["spec"]["strategy"]
        assert strategy["type"] == "RollingUpdate"
        assert strategy["rollingUpdate"]["maxUnavailable"] == 0

    def test_sqlite_is_on_a_volume_that_one_pod_has_and_that_stays(self) -> None:
        release = render({})
        deployment = release.of("Deployment")
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        assert deployment["spec"]["replicas"] == 1
        pod = deployment["spec"]["template"]["spec"]
        mounts = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
        [volume] = [
            each
            for each in pod["volumes"]
            if each["name"] == mounts[environment(release, deployment)["TODO_DATA_DIR"]]
        ]
        claim = release.of("PersistentVolumeClaim")
        assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
        assert annotations_of(claim) == {"helm.sh/resource-policy": "keep"}
        for kind in ("Job", "PodDisruptionBudget", "Secret"):
            assert release.all(kind) == []


@pytest.mark.parametrize("helm", HELMS)
class TestReleases:
    """What Helm does with the chart, in a cluster that records it."""

    BEFORE = (
        ("create", "NetworkPolicy", "todo-migrate"),
        ("create", "Secret", "todo-migrate"),
        ("create", "Job", "todo-migrate"),
    )
    AFTER = (
        ("delete", "Job", "todo-migrate"),
        ("delete", "Secret", "todo-migrate"),
        ("delete", "NetworkPolicy", "todo-migrate"),
    )

    def test_the_database_is_migrated_before_anything_else_is_installed_or_changed(
        self, helm: str, tmp_path: Path
    ) -> None:
        with running_cluster(tmp_path) as cluster:
            for verb, what in (("install", "create"), ("upgrade", "change")):
                apply(cluster, helm, verb, POSTGRESQL | {"replicas": 2 if verb == "upgrade" else 1})
                migration = len(self.BEFORE) + len(self.AFTER)
                assert tuple(cluster.events[:migration]) == self.BEFORE + self.AFTER
                assert {event for event, _, _ in cluster.events[migration:]} == {what}
                assert (what, "Deployment", "todo") in cluster.events[migration:]
                cluster.events.clear()
            assert cluster.named("Secret") == {"todo"}

    def test_nothing_is_installed_or_changed_if_the_migration_fails(
        self, helm: str, tmp_path: Path
    ) -> None:
        with running_cluster(tmp_path, jobs_succeed=False) as cluster:
            for verb in ("install", "upgrade"):
                with pytest.raises(subprocess.CalledProcessError) as failed:
                    apply(cluster, helm, verb, POSTGRESQL | {"replicas": 2})
                assert "todo-migrate" in failed.value.stderr
                assert {name for _, _, name in cluster.events} == {"todo-migrate"}
                assert cluster.named("Deployment") == set()
                assert cluster.named("Job") == {"todo-migrate"}, "its log can be read"
            cluster.jobs_succeed = True
            apply(cluster, helm, "upgrade", POSTGRESQL | {"replicas": 2})
            assert cluster.named("Deployment") == {"todo"}
            assert cluster.named("Job") == set()

    def test_a_release_that_is_uninstalled_leaves_the_volume_of_sqlite(
        self, helm: str, tmp_path: Path
    ) -> None:
        with running_cluster(tmp_path) as cluster:
            apply(cluster, helm, "install", {})
            assert cluster.named("Deployment") == {"todo"}
            run(helm, "uninstall", "todo", *IN_CLUSTER, kubeconfig=str(cluster.kubeconfig))
            assert {each["kind"] for each in cluster.objects.values()} == {"PersistentVolumeClaim"}


class TestSecurity:
    def test_every_pod_follows_the_restricted_pod_security_standard(self, release: Release) -> None:
        for pod in release.pods():
            general = pod["spec"]["securityContext"]
            assert general["runAsNonRoot"] is True
            assert general["runAsUser"] >= 10_000
            assert general["seccompProfile"] == {"type": "RuntimeDefault"}
            assert pod["spec"].keys().isdisjoint({"hostNetwork", "hostPID", "hostIPC"})
            [container] = pod["spec"]["containers"]
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "name"}
            for volume in pod["spec"].get("volumes", []):
                assert volume.keys() <= allowed

    def test_no_pod_has_a_token_or_the_addresses_of_services(self, release: Release) -> None:
        for pod in release.pods():
            assert pod["spec"]["automountServiceAccountToken"] is False
            assert pod["spec"]["enableServiceLinks"] is False
        for account in release.all("ServiceAccount"):
            assert account["automountServiceAccountToken"] is False

    def test_every_container_has_a_limit_of_memory(self, release: Release) -> None:
        for pod in release.pods():
            [container] = pod["spec"]["containers"]
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


class TestContainers:
    """The commands and probes of the pods, run on this machine as a cluster runs them."""

    def test_the_pods_of_a_release_on_postgresql_migrate_start_and_stop(
        self, tmp_path: Path, postgres_url: str
    ) -> None:
        url = create_database(postgres_url)
        values = {**POSTGRESQL, "drainDelaySeconds": 1, "secrets": {**SECRETS, "DATABASE_URL": url}}
        release = render(values)
        with started(release, tmp_path / "early") as early:
            assert early.get(path_of(release, "startupProbe")).status_code == 503
        migrate(release, tmp_path)
        with started(release, tmp_path / "pod") as pod:
            check(release, pod)
        drop_database(url)

    def test_the_pod_of_a_release_on_sqlite_starts_and_stops(self, tmp_path: Path) -> None:
        release = render({})
        with started(release, tmp_path) as pod:
            check(release, pod)

    def test_a_pod_with_metrics_serves_them_where_prometheus_looks(self, tmp_path: Path) -> None:
        release = render({"metrics": {"enabled": True, "serviceMonitor": {"enabled": True}}})
        [endpoint] = release.of("ServiceMonitor")["spec"]["endpoints"]
        metrics_port = free_port()
        with started(release, tmp_path, metrics_port=metrics_port) as pod:
            check(release, pod)
            url = f"http://127.0.0.1:{metrics_port}{endpoint['path']}"
            assert "\ntodo_http_requests_total" in httpx.get(url).raise_for_status().text


class TestNotes:
    def notes(self, values: Values) -> str:
        output = run(HELM, "install", "todo", str(CHART), "--dry-run=client", values=values)
        return output.partition("\nNOTES:\n")[2]

    def test_the_notes_warn_of_what_an_operator_forgot(self) -> None:
        without_tls = {"enabled": True, "hosts": ["todo.example.com"]}
        notes = self.notes({**POSTGRESQL, "replicas": 2, "ingress": without_tls})
        assert "http://todo.example.com/docs" in notes
        for name in ("TODO_TRUSTED_PROXIES", "TODO_RATE_LIMIT_STORAGE", "tlsSecretName"):
            assert re.search(rf"WARNING: [\w.]*{name} is not set", notes), name

    def test_the_notes_do_not_warn_of_what_is_set(self) -> None:
        notes = self.notes(EVERYTHING)
        assert "https://todo.example.com/docs" in notes
        assert "WARNING" not in notes

    def test_the_notes_of_sqlite_name_the_volume(self) -> None:
        assert "on the volume todo." in self.notes({})


def apply(cluster: Cluster, helm: str, verb: str, values: Values) -> None:
    """Install or upgrade the release."""
    options = [*IN_CLUSTER, "--timeout", "30s"]
    kubeconfig = str(cluster.kubeconfig)
    run(helm, verb, "todo", str(CHART), *options, values=values, kubeconfig=kubeconfig)


def validated(
    releases: Sequence[Release], version: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    files = []
    for number, release in enumerate(releases):
        file = folder / f"{number}.yaml"
        file.write_text(yaml.safe_dump_all(release.manifests))
        files.append(str(file))
    command = [UV, "tool", "run", "--from", VALIDATOR, "kubernetes-validate", "--strict"]
    return subprocess.run(
        [*command, "--kubernetes-version", version, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def monitor_is_valid(monitor: Manifest) -> bool:
    install(FOLDER)
    done = subprocess.run(
        [program("node"), "service_monitor.mjs"],
        cwd=FOLDER,
        input=json.dumps(monitor),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or "must match pattern" in done.stderr, done.stderr
    return done.returncode == 0


def is_sqlite(values: Values) -> bool:
    return values.get("database") != {"type": "postgresql"}


def selected(selector: Mapping[str, str], manifests: list[Manifest]) -> list[Manifest]:
    return [each for each in manifests if selector.items() <= each["metadata"]["labels"].items()]


def ports(rules: list[Manifest]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def is_earlier_hook(manifest: Manifest, job: Manifest) -> bool:
    earlier, later = annotations_of(manifest), annotations_of(job)
    return (
        earlier["helm.sh/hook"] == later["helm.sh/hook"]
        and int(earlier["helm.sh/hook-weight"]) < int(later["helm.sh/hook-weight"])
        and earlier["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    )


def environment(release: Release, workload: Manifest) -> dict[str, str]:
    """Return the variables of the container of a Deployment or Job."""
    [container] = workload["spec"]["template"]["spec"]["containers"]
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= secret_values(release, source["secretRef"]["name"])
    for variable in container["env"]:
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            key = variable["valueFrom"]["secretKeyRef"]
            found[variable["name"]] = secret_values(release, key["name"])[key["key"]]
    return found


def secret_values(release: Release, name: str) -> dict[str, str]:
    if name == "existing":
        return SECRETS
    content: dict[str, str] = release.named("Secret", name)["stringData"]
    return content


def path_of(release: Release, probe: str) -> str:
    [container] = release.of("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container[probe]["httpGet"]["port"] == "http"
    path: str = container[probe]["httpGet"]["path"]
    return path


def migrate(release: Release, folder: Path) -> None:
    job = release.of("Job")
    [container] = job["spec"]["template"]["spec"]["containers"]
    subprocess.run(
        command_of(container),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment(release, job)},
        check=True,
        timeout=60,
    )


def command_of(container: Manifest) -> list[str]:
    command: list[str] = [*container["command"], *container.get("args", [])]
    assert command[0] == "todo"
    return [str(TODO), *command[1:]]


@contextmanager
def started(
    release: Release, folder: Path, *, metrics_port: int | None = None
) -> Iterator[httpx.Client]:
    """Run the container of the Deployment until the end of the block, and stop it as a pod."""
    folder.mkdir(exist_ok=True)
    deployment = release.of("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    port = free_port()
    command = [
        {"--host=0.0.0.0": "--host=127.0.0.1", "--port=8000": f"--port={port}"}.get(each, each)
        for each in command_of(container)
    ]
    assert f"--port={port}" in command
    assert {each["name"]: each["containerPort"] for each in container["ports"]}["http"] == 8000
    variables = environment(release, deployment)
    if "TODO_DATA_DIR" in variables:
        variables["TODO_DATA_DIR"] = str(folder / "data")
    if metrics_port is not None:
        named = {each["name"]: each["containerPort"] for each in container["ports"]}
        assert variables["TODO_METRICS_PORT"] == str(named["metrics"])
        assert ip_address(variables["TODO_METRICS_HOST"]).is_unspecified
        variables |= {"TODO_METRICS_HOST": "127.0.0.1", "TODO_METRICS_PORT": str(metrics_port)}
    process = subprocess.Popen(command, cwd=folder, env={"PATH": os.environ["PATH"], **variables})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            until(lambda: is_alive(http, process), seconds=60)
            yield http
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=pod["terminationGracePeriodSeconds"]) == 0
        delay = int(variables.get("TODO_DRAIN_DELAY", "0s").removesuffix("s"))
        assert time.monotonic() - began >= delay
    finally:
        process.kill()
        process.wait()


def is_alive(http: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        return http.get("/healthz").is_success
    except httpx.TransportError:
        return False


def check(release: Release, http: httpx.Client) -> None:
    """Make each request of the kubelet, and that of `helm test`."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert http.get(path_of(release, probe)).status_code == 200
    [container] = release.of("Pod")["spec"]["containers"]
    python, *options = container["command"]
    assert python == "python3"
    script, url = container["args"]
    service = release.of("Service", "api")
    assert urlsplit(url).hostname == service["metadata"]["name"]
    assert urlsplit(url).port == service["spec"]["ports"][0]["port"]
    here = str(http.base_url.join(urlsplit(url).path))
    done = subprocess.run(
        [sys.executable, *options, script, here], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ok"
