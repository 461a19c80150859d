"""Personal data as those see it who may not see it whole: names, what people are known by, and both within texts."""

from typing import Any

from normalizer.canon import Address, Contact
from normalizer.identity import mask, mask_name, mask_text


def masked_words(told: str, whose: Contact) -> str:
    """A text about a contact with its name and whatever it is known by masked."""
    for identity in whose.identities:
        told = told.replace(identity.value, mask(Address(identity.kind, identity.value)))
    name = whose.name.strip()
    return mask_text(told.replace(name, mask_name(name)) if len(name) > 1 else told)


def masked(value: Any) -> Any:
    """The same with personal data masked: names, what people are known by, and both in its texts."""
    match value:
        case {"verb": str()}:  # what a rule does: it has names of its own
            return {key: masked(part) for key, part in value.items()}
        case {"kind": str(kind), "address": str(address), **others}:
            return {**masked(others), "kind": kind, "address": mask(Address(kind, address))}
        case {"kind": str(kind), "value": str(known), "proven_by": by, **others}:
            return {"kind": kind, "value": mask(Address(kind, known)), "proven_by": by, **others}
        case {"field": str(field), **others}:
            return {"field": field, **{key: _masked_fact(field, part) for key, part in others.items()}}
        case dict():
            return {
                key: mask_name(part) if key == "name" and isinstance(part, str) else masked(part)
                for key, part in value.items()
            }
        case list() | tuple():
            return [masked(part) for part in value]
    return mask_text(value) if isinstance(value, str) else value


def _masked_fact(field: str, value: Any) -> Any:
    """What a rule found in a field that holds a name, or what somebody is known by."""
    if field == "contact.name" and isinstance(value, str):
        return mask_name(value)
    if field == "contact.identities" and isinstance(value, list):
        return [mask(Address("email" if "@" in known else "id", known)) for known in value]
    return masked(value)
