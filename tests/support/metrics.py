"""The metrics of a service, read as Prometheus reads them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.clients import client_of
from tests.support.command import Served, served
from tests.support.processes import free_port

type Labels = Mapping[str, str]


@dataclass(frozen=True)
class Scrape:
    """One scrape: its text and its samples."""

    text: str
    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, text: str) -> "Scrape":
        families = text_string_to_metric_families(text)
        return cls(text, tuple(sample for family in families for sample in family.samples))

    def matching(self, name: str, /, **labels: str) -> list[Sample]:
        """Return the samples with this name and these labels, among others."""
        return [
            each
            for each in self.samples
            if each.name == name and labels.items() <= each.labels.items()
        ]

    def total(self, name: str, /, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels."""
        return sum(each.value for each in self.matching(name, **labels))

    def value(self, name: str, /, **labels: str) -> float:
        """Return the only sample with this name and these labels."""
        [sample] = self.matching(name, **labels)
        return sample.value


@dataclass
class Measured:
    """A running `todo serve` and its metrics."""

    service: Served
    port: int

    @property
    def url(self) -> str:
        """The URL of the API."""
        return self.service.url

    @property
    def metrics_url(self) -> str:
        """The URL of the server of the metrics."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Request a path of the server of the metrics."""
        with client_of(self.metrics_url, **headers) as http:
            return http.get(path)

    def scrape(self) -> Scrape:
        """Return the metrics."""
        answer = self.get("/metrics")
        assert answer.status_code == 200, answer.text
        return Scrape.of(answer.text)


@contextmanager
def measured(folder: Path, *options: str, **settings: str) -> Iterator[Measured]:
    """Run `todo serve` with metrics until the end of the block."""
    port = free_port()
    with served(folder, *options, TODO_METRICS_PORT=str(port), **settings) as service:
        yield Measured(service, port)
