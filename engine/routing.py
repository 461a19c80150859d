"""Who of a group takes a ticket: among those with the skills, whoever has the fewest open tickets."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.company import Company
from engine.decision import Route


@dataclass(frozen=True, slots=True)
class Chosen:
    """The agent, or nobody and why; a group without an agent is a legal end: the ticket waits to be claimed."""

    agent: str = ""
    nobody: str = ""


def choose(company: Company, route: Route, load: Mapping[str, int], current: str = "") -> Chosen:
    """The agent for a route. Who has the ticket already keeps it, if he fits; ties go to the first by name."""
    if route.assignee or not route.by:
        return Chosen(route.assignee)
    fitting = [name for name in company.members.get(route.group, ()) if _has(company, name, route.skills)]
    if not fitting:
        wanted = f" with {', '.join(route.skills)}" if route.skills else ""
        return Chosen(nobody=f"assignee: nobody in {route.group}{wanted}")
    if current in fitting:
        return Chosen(current)
    return Chosen(min(fitting, key=lambda name: (load.get(f"agent:{name}", 0), name)))


def _has(company: Company, agent: str, skills: tuple[str, ...]) -> bool:
    return set(skills) <= set(company.people.agents[agent].skills)
