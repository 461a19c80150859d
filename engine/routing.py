"""Who of a group takes a ticket, among those with the skills.

least_loaded   whoever has the fewest open tickets
round_robin    whose turn is longest ago; turns are counted by group in `load` ("turn:GROUP", "turn:GROUP/AGENT")
sticky         who had the customer's latest ticket; else the least loaded
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.company import Company
from engine.decision import Past, Route


@dataclass(frozen=True, slots=True)
class Chosen:
    """The agent, or nobody and why; a group without an agent is a legal end: the ticket waits to be claimed."""

    agent: str = ""
    nobody: str = ""


def choose(
    company: Company, route: Route, load: Mapping[str, int], current: str = "", history: Sequence[Past] = ()
) -> Chosen:
    """The agent for a route. Who has the ticket already keeps it, if he fits; ties go to the first by name."""
    if route.assignee or not route.by:
        return Chosen(route.assignee)
    fitting = company.members.get(route.group, ())
    if route.skills:
        fitting = tuple(name for name in fitting if _has(company, name, route.skills))
    if not fitting:
        wanted = f" with {', '.join(route.skills)}" if route.skills else ""
        return Chosen(nobody=f"assignee: nobody in {route.group}{wanted}")
    if current in fitting:
        return Chosen(current)
    if route.by == "round_robin":
        return Chosen(min(fitting, key=lambda name: (load.get(turn(route.group, name), 0), name)))
    known = max((p for p in history if p.assignee in fitting), key=lambda p: (p.at, p.ticket), default=None)
    if route.by == "sticky" and known:
        return Chosen(known.assignee)
    return Chosen(min(fitting, key=lambda name: (load.get(f"agent:{name}", 0), name)))


def turn(group: str, agent: str = "") -> str:
    """Under what `load` counts the turns of a group, and has the latest turn of an agent."""
    return f"turn:{group}/{agent}" if agent else f"turn:{group}"


def _has(company: Company, agent: str, skills: tuple[str, ...]) -> bool:
    return set(skills) <= set(company.people.agents[agent].skills)
