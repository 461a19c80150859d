"""What /metrics says of a gateway and its workers together."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.figures import Changes, Together


class Figures:
    """A process's own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.fired = Counter("t_fired", "", ["rule"], registry=self.registry)
        self.storm = Gauge("t_storm", "", registry=self.registry)
        self.seconds = Histogram("t_seconds", "", registry=self.registry, buckets=(0.1, 1))


def said(whole: Together) -> dict[str, float]:
    lines = generate_latest(whole).decode().splitlines()  # type: ignore[arg-type]
    told = (line.rpartition(" ") for line in lines if not line.startswith("#") and "_created" not in line)
    return {name: float(value) for name, _, value in told}


def test_what_is_counted_is_summed_and_of_what_is_measured_the_highest_counts() -> None:
    gateway, one, two = Figures(), Figures(), Figures()
    whole, ones, twos = Together(gateway.registry), Changes(one.registry), Changes(two.registry)
    gateway.fired.labels("vip").inc(5)
    gateway.storm.set(2)
    for figures, changes, worker in ((one, ones, 1), (two, twos, 2)):
        figures.fired.labels("vip").inc(worker)
        figures.fired.labels('a "rule"\n').inc()
        figures.seconds.observe(0.5)
        figures.storm.set(worker * 3)
        for report in changes.reports():
            whole.hear(worker, report)
    told = said(whole)
    assert told['t_fired_total{rule="vip"}'] == 8
    assert told['t_fired_total{rule="a \\"rule\\"\\n"}'] == 2
    assert told["t_storm"] == 6
    assert told["t_seconds_count"] == 2
    assert (told['t_seconds_bucket{le="0.1"}'], told['t_seconds_bucket{le="1.0"}']) == (0, 2)


def test_what_a_worker_counted_before_it_died_still_counts() -> None:
    gateway, first = Figures(), Figures()
    whole, changes = Together(gateway.registry), Changes(first.registry)
    first.fired.labels("vip").inc(3)
    first.storm.set(1)
    for report in changes.reports():
        whole.hear(1, report)
    whole.forget(1)
    another = Figures()
    another_changes = Changes(another.registry)
    another.fired.labels("vip").inc(4)
    for report in another_changes.reports():
        whole.hear(1, report)
    assert said(whole)['t_fired_total{rule="vip"}'] == 7
    assert said(whole)["t_storm"] == 0


def test_only_what_changed_is_told_again() -> None:
    one = Figures()
    changes = Changes(one.registry)
    assert list(changes.reports()) == []
    for n in range(1000):
        one.fired.labels(f"rule {n}").inc()
    assert len(list(changes.reports())) == 5  # none too large for a datagram
    one.fired.labels("rule 7").inc()
    (report,) = changes.reports()
    assert report == b'[[["t_fired_total", [["rule", "rule 7"]]], 2.0]]'


def test_what_was_not_heard_is_told_the_next_time() -> None:
    one = Figures()
    changes = Changes(one.registry)
    one.storm.set(1)
    for _ in changes.reports():
        break
    assert len(list(changes.reports())) == 1
