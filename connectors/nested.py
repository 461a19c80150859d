"""Looking into JSON of which every part may be missing, null or of another kind than was promised.

What is of use but not needed is empty then; what a message cannot do without is read by `connectors.reading.words`.
"""

from collections.abc import Mapping
from typing import Any

from connectors.reading import words
from normalizer.errors import Unreadable


def inside(found: Any, *names: str) -> Mapping[str, Any]:
    """The object under these names, one in the other; an empty one if it is not there."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def listed(found: Any, name: str) -> list[Any]:
    """The list under a name; an empty one if there is none. Raises Unreadable if it is something else."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is not None and not isinstance(value, list):
        raise Unreadable(f"{name} is {type(value).__name__}, not a list")
    return value or []


def said(found: Any, name: str) -> str:
    """The words under a name, a number as text; empty if there is nothing of the kind."""
    value = found.get(name) if isinstance(found, dict) else None
    return words(value, name).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def needed(found: Any, name: str) -> str:
    """The same. Raises Unreadable if there are none."""
    value = words(found.get(name) if isinstance(found, dict) else None, name).strip()
    if not value:
        raise Unreadable(f"no {name}")
    return value
