"""Whether a rule set may go live: it is read, checked and tested as one whole, and nothing of it is used before.

    examine    everything wrong in it, and its examples     a large set in a process of its own, at low priority
    vet        the mind that would decide by it             in a thread: others get their turn twice a millisecond

Ten thousand rules take seconds and millions of objects; traffic goes on meanwhile, and nobody waits for a collection
that would walk all of it.
"""

import base64
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine import rulebook
from engine.check import check, errors
from engine.reading import Finding
from engine.trial import Failure, run_tests, trials
from gateway import settings
from gateway.bundle import TEMPLATES, TESTS, Bundle, unpack
from gateway.mind import Mind, stood_on
from gateway.settings import Configured
from normalizer.canon import dump, load
from normalizer.errors import ConfigError, TicketgateError, Where

TURN = 0.0005  # seconds
LARGE = 60_000  # bytes of rulebooks, some hundred rules
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
class Examined:
    """What was found in a set, and how many examples it was tried with; none if it could not be."""

    findings: tuple[Finding, ...]
    tests: int = 0

    @property
    def wrong(self) -> tuple[Finding, ...]:
        return tuple(errors(self.findings))


@dataclass(frozen=True, slots=True)
class Vetted:
    """A set that may go live, how many examples it passed, and what should be looked at all the same."""

    mind: Mind
    tests: int
    warnings: tuple[Finding, ...] = ()


def vet(present: Mind, bundle: Bundle, today: str = "", examined: Examined | None = None) -> Vetted:
    """The mind that would decide by this bundle. Raises Unfit. Takes its time; call it in a thread.

    What another process has `examined` for us is not examined again.
    """
    size = sum(len(content) for name, content in bundle.files.items() if name.endswith((".yaml", ".xlsx")))
    with _one_at_a_time:
        examined = examined or (_apart if size > LARGE else examine)(present.configured, bundle, today)
        if examined.wrong:
            raise Unfit(bundle, examined.wrong)
        with gently():
            try:
                made = present.with_bundle(bundle)
            except ConfigError as e:
                raise Unfit(bundle, (_finding(e),)) from e
            return Vetted(made.running(), examined.tests, examined.findings)


def examine(configured: Configured, bundle: Bundle, today: str = "") -> Examined:
    """Everything the check finds, errors and warnings, and the examples that fail. Pure."""
    try:
        base = stood_on(configured, bundle)
        texts, templates = bundle.rulebooks(), bundle.texts(TEMPLATES, ".liquid")
        found = tuple(check(texts, base.vocabulary, base.company, templates=templates, today=today))
        if errors(found):
            return Examined(found)
        ruleset = rulebook.load(texts, base.vocabulary)
        tested = replace(ruleset, texts={**texts, **bundle.texts(TESTS, ".yaml")})
        failed = tuple(map(_failed, run_tests(tested, base.company)))
        return Examined((*failed, *found), len(trials(tested.texts, base.vocabulary)))
    except ConfigError as e:
        return Examined((_finding(e),))


def _apart(configured: Configured, bundle: Bundle, today: str) -> Examined:
    """The same in a process of its own."""
    asked = {
        "settings": configured.document.file, "today": today, "places": dict(bundle.places),
        "files": base64.b64encode(bundle.pack()).decode(),
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.vet"], input=json.dumps(asked).encode(), capture_output=True, check=False
    )
    if ended.returncode:
        what = f"the check of this set ended with {ended.returncode}: {ended.stderr.decode(errors='replace')[-300:]}"
        return Examined((Finding(Where("rules"), "config", what, "is there room for it in memory?"),))
    return load(Examined, ended.stdout)


def main() -> None:
    """Examine what stands on standard input; the answer goes to standard output."""
    os.nice(10)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    asked = json.loads(sys.stdin.buffer.read())
    bundle = Bundle(unpack(base64.b64decode(asked["files"])).files, asked["places"])
    sys.stdout.buffer.write(dump(examine(settings.read(Path(asked["settings"])), bundle, asked["today"])))


def _end_with(parent: int) -> None:
    """Nobody waits for the answer of a check whose gateway is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _finding(e: ConfigError) -> Finding:
    return Finding(e.where, e.code, e.what, e.hint)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return repr(value)


def _failed(failure: Failure) -> Finding:
    what = f"{failure.name}: {failure.field} is {_value(failure.found)}, not {_value(failure.expected)}"
    return Finding(failure.where, TEST, what, "mend the rule or its example")


@contextmanager
def gently() -> Iterator[None]:
    """Work beside which others go on."""
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


if __name__ == "__main__":
    main()
