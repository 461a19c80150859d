"""Templates as most are: words, names, and `{% if NAME %}` or `{% if NAME != "" %}` around them.

Putting such a template together takes a tenth of what Liquid needs to walk through it. Whatever else a template holds
(filters, loops, other tests) is left to Liquid; what is said is the same.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import BooleanExpression, FilteredExpression, Path, StringLiteral
from liquid.builtin.expressions.logical import NeExpression
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.expression import Expression

Values = Mapping[str, str | bool]


class Name(NamedTuple):
    """The value of this name."""

    name: str


class If(NamedTuple):
    """One thing or the other: whether the name is not false, or (`filled`) not empty."""

    name: str
    filled: bool
    then: "Letter"
    otherwise: "Letter"


Letter = Sequence[str | Name | If]


def letter(nodes: Sequence[Node]) -> Letter | None:
    """A parsed template as a letter; None if there is more to it."""
    parts = [_part(node) for node in nodes]
    return None if None in parts else [part for part in parts if part is not None]


def _part(node: Node) -> str | Name | If | None:
    match node:
        case ContentNode(text=text):
            return str(text)
        case OutputNode(expression=FilteredExpression(left=left, filters=filters)) if not filters:
            return Name(name) if (name := _name(left)) else None
        case IfNode(condition=BooleanExpression(expression=asked), alternatives=[]):
            then, otherwise = _block(node.consequence), _block(node.default)
            name, filled = _asked(asked)
            return None if not name or then is None or otherwise is None else If(name, filled, then, otherwise)
    return None


def _block(block: BlockNode | None) -> Letter | None:
    """What is blank altogether is left out, as by Liquid."""
    return () if block is None or block.blank else letter(block.nodes)


def _asked(expression: Expression) -> tuple[str, bool]:
    match expression:
        case NeExpression(left=left, right=StringLiteral(value="")):
            return _name(left), True
    return _name(expression), False


def _name(expression: Expression) -> str:
    match expression:
        case Path(path=[str(name)]):
            return name
    return ""


def said(letter: Letter, values: Values) -> str:
    """What a letter says. Raises KeyError for a name that has no value."""
    out: list[str] = []
    _say(letter, values, out)
    return "".join(out)


def _say(letter: Letter, values: Values, out: list[str]) -> None:
    for part in letter:
        if isinstance(part, str):
            out.append(part)
            continue
        value = values[part.name]
        if isinstance(part, If):
            holds = value != "" if part.filled else value is not False  # in Liquid an empty text is true
            _say(part.then if holds else part.otherwise, values, out)
        else:
            out.append(value if isinstance(value, str) else str(value).lower())
