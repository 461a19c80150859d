"""Whether a rule set may go live: it is read, checked and tested as one whole, and nothing of it is used before.

Reading ten thousand rules takes seconds and makes millions of objects. Traffic goes on meanwhile: other threads get
their turn every half millisecond, and nobody waits for a collection that would walk all of it.
"""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine import rulebook
from engine.reading import Finding
from engine.trial import Failure, run_tests, trials
from gateway.bundle import Bundle
from gateway.mind import Mind, stood_on
from normalizer.errors import ConfigError, TicketgateError

TURN = 0.0005  # seconds
TEST = "test-failed"
_one_at_a_time = threading.Lock()


class Unfit(TicketgateError):
    """A rule set that may not go live, with everything that is wrong."""

    def __init__(self, bundle: Bundle, findings: tuple[Finding, ...]) -> None:
        super().__init__(*findings)
        self.bundle, self.findings = bundle, findings

    def __str__(self) -> str:
        more = f" (and {len(self.findings) - 1} more)" if len(self.findings) > 1 else ""
        return f"{self.findings[0]}{more}"


@dataclass(frozen=True, slots=True)
class Vetted:
    """A set that may go live, and how many examples it passed."""

    mind: Mind
    tests: int


def vet(present: Mind, bundle: Bundle) -> Vetted:
    """The mind that would decide by this bundle. Raises Unfit. Takes its time; call it in a thread."""
    with _gently():
        try:
            made = present.with_bundle(bundle)
            failures = run_tests(made.ruleset, made.company)
            tests = len(trials(made.ruleset.texts, made.vocabulary))
        except ConfigError as e:
            raise Unfit(bundle, everything_wrong(present, bundle) or (_finding(e),)) from e
        if failures:
            raise Unfit(bundle, tuple(map(_failed, failures)))
        return Vetted(made.running(), tests)


def everything_wrong(present: Mind, bundle: Bundle) -> tuple[Finding, ...]:
    """All findings in the rulebooks, where what they stand on is well."""
    try:
        base = stood_on(present.configured, bundle)
        return tuple(rulebook.findings(bundle.rulebooks(), base.vocabulary))
    except ConfigError:
        return ()


def _finding(e: ConfigError) -> Finding:
    return Finding(e.where, e.code, e.what, e.hint)


def _failed(failure: Failure) -> Finding:
    what = f"{failure.name}: {failure.field} is {failure.found!r}, not {failure.expected!r}"
    return Finding(failure.where, TEST, what, "mend the rule or its example")


@contextmanager
def _gently() -> Iterator[None]:
    with _one_at_a_time:
        was, collecting = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(TURN)
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()  # what was made stays: walking it at each full collection would be a pause for everybody
            sys.setswitchinterval(was)
            if collecting:
                gc.enable()
