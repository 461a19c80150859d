"""Figures of worker processes, added to those of the gateway they work for: /metrics tells of all of them together.

A worker tells what changed, the gateway keeps the latest of each. What is counted is summed up, over workers that ended
too; of what is measured (gauges) the highest counts, of those that live.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric

Figure = tuple[str, tuple[tuple[str, str], ...]]  # a sample's name and labels
SUMMED = ("_total", "_bucket", "_count", "_sum")
LARGEST = 200  # figures of a report


class Changes:
    """What of a registry changed since it was told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._told = dict(_figures(registry))

    def reports(self) -> Iterator[bytes]:
        """Until there is none; each counts as told once the next is asked for."""
        changed = [(name, value) for name, value in _figures(self._registry) if self._told.get(name) != value]
        for at in range(0, len(changed), LARGEST):
            some = changed[at : at + LARGEST]
            yield json.dumps(some, ensure_ascii=False).encode()
            self._told.update(some)


def _figures(registry: CollectorRegistry) -> Iterator[tuple[Figure, float]]:
    for metric in registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value


class Together:
    """A registry, and what its workers reported."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._living: dict[int, dict[Figure, float]] = {}
        self._counted: Counter[Figure] = Counter()  # of those that ended

    def hear(self, worker: int, report: bytes) -> None:
        latest = self._living.setdefault(worker, {})
        for (name, labels), value in json.loads(report):
            latest[name, tuple((label, said) for label, said in labels)] = value

    def forget(self, worker: int) -> None:
        """It ended; what it counted still counts."""
        ended = self._living.pop(worker, {})
        self._counted.update({figure: value for figure, value in ended.items() if figure[0].endswith(SUMMED)})

    def collect(self) -> Iterable[Metric]:
        """As prometheus_client asks a registry."""
        added = self._added()
        for metric in self._registry.collect():
            yield _with(metric, added)

    def _added(self) -> dict[str, dict[Figure, float]]:
        """By a sample's name."""
        found: dict[Figure, float] = dict(self._counted)
        for one in self._living.values():
            for figure, value in one.items():
                found[figure] = _both(figure[0], found.get(figure, 0.0), value)
        by_name: dict[str, dict[Figure, float]] = {}
        for figure, value in found.items():
            by_name.setdefault(figure[0], {})[figure] = value
        return by_name


def _with(metric: Metric, added: Mapping[str, Mapping[Figure, float]]) -> Metric:
    more = {figure: value for end in ("", *SUMMED) for figure, value in added.get(metric.name + end, {}).items()}
    if not more:
        return metric
    whole = Metric(metric.name, metric.documentation, metric.type)
    for sample in metric.samples:
        other = more.pop((sample.name, tuple(sorted(sample.labels.items()))), None)
        value = sample.value if other is None else _both(sample.name, sample.value, other)
        whole.add_sample(sample.name, sample.labels, value)
    for (name, labels), value in more.items():
        whole.add_sample(name, dict(labels), value)
    return whole


def _both(name: str, one: float, other: float) -> float:
    return one + other if name.endswith(SUMMED) else max(one, other)
