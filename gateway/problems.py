"""Every error of the API in one form, application/problem+json (RFC 9457), and described as such in OpenAPI."""

from collections.abc import Mapping
from typing import Any

import starlette.requests
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from gateway import http
from normalizer.errors import Rejected, Unavailable

MEDIA_TYPE = "application/problem+json"
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:ticketgate:CODE; the codes are in docs/reference/reasons.md"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what to write instead"},
        "problems": {"type": "array", "items": {"type": "object"}, "description": "Each field that is wrong"},
    },
}
_CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed", 422: "invalid"}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of an operation that are problems: these, and any other that may come."""
    content = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {status: {"description": _MEANINGS[status], **content} for status in sorted({*statuses, 400, 422})}


_MEANINGS = {
    400: "Not what the format demands", 401: "No valid key", 403: "The key may not do this", 404: "No such thing",
    409: "It contradicts what came before, or the ticket changed meanwhile", 412: "If-Match names another version",
    410: "It is not kept any more",
    413: "Too large", 422: "A field is missing or wrong, or it cannot be done", 503: "It could not be stored just now",
}  # fmt: skip


async def rejected(_: starlette.requests.Request, e: Exception) -> Response:
    assert isinstance(e, Rejected | Unavailable)
    return http.refusal(e)


async def _invalid(asked: starlette.requests.Request, e: Exception) -> Response:
    """What FastAPI found wrong: where and what, never the value, which may be a customer's words."""
    assert isinstance(e, RequestValidationError)
    errors = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"], "kind": one["type"]} for one in e.errors()]
    if any(one["where"] == "body" and one["kind"] != "missing" for one in errors) and not _says_json(asked):
        errors = [{"where": "content-type", "what": "send JSON, and Content-Type: application/json", "kind": ""}]
    malformed = any(one["kind"] == "json_invalid" for one in errors)
    status = 400 if malformed else 422
    first = f"{errors[0]['where']}: {errors[0]['what']}" if errors else "not valid"
    return http.problem(
        status, _CODES[status], first, problems=[{k: one[k] for k in ("where", "what")} for one in errors]
    )


def _says_json(asked: starlette.requests.Request) -> bool:
    """FastAPI looks at no body that does not; curl says of its own accord that it is a form."""
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


async def _other(asked: starlette.requests.Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    headers = dict(e.headers or {})
    if e.status_code == 405 and isinstance(asked.app, FastAPI):
        headers["Allow"] = ", ".join(_methods(asked.app, asked.url.path))
    return http.problem(e.status_code, _CODES.get(e.status_code, "refused"), str(e.detail), headers)


def _methods(app: FastAPI, path: str) -> list[str]:
    """What this path may be asked with, by all its operations; each route alone tells only its own."""
    known = app.openapi()["paths"].items()
    return sorted(
        method.upper() for like, operations in known if compile_path(like)[0].match(path) for method in operations
    )


async def _gone(_: starlette.requests.Request, e: Exception) -> Response:
    """Nobody is there to be answered, and nothing was promised."""
    return Response(status_code=400)


HANDLERS: dict[int | type[Exception], Any] = {
    Rejected: rejected, Unavailable: rejected, RequestValidationError: _invalid, HTTPException: _other,
    starlette.requests.ClientDisconnect: _gone,
}  # fmt: skip
