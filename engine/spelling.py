"""Conditions as they are written in a rulebook."""

from typing import Any as Anything

from engine.ruleset import Test


def spelled(test: Test, wanted: bool = True) -> str:
    """A test as a person would write it; one that must not hold under `none`."""
    value = _flow(test.shown)
    if test.kind == "words" and test.operator != "exists":
        written = f"{test.operator}: {value}"
    elif test.operator in ("is", "in", "has", "has_any"):
        written = f"{test.field}: {value}"
    else:
        written = f"{test.field}: {{{test.operator}: {value}}}"
    return written if wanted else f"none: {{{written}}}"


def _flow(value: Anything) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]" if len(value) > 1 else ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
