"""/api as programs meet it: one FastAPI application with its OpenAPI document, and a page to read it at /api/docs."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import FileResponse

from connectors.api import NewMessage
from gateway import problems

ABOUT = """\
Every request bears `Authorization: Bearer KEY`; `ticketgate keys add LABEL --scope SCOPE` makes a key.
Errors are `application/problem+json`. Lists are pages: pass `next` of one as `after` of the following. What changes a
ticket takes `If-Match` with the ticket's ETag, and `Idempotency-Key` where doing it twice would do it twice.
Versions and deprecation: docs/api.md.
"""
PAGE = Path(__file__).parent / "console" / "static" / "api-docs.html"
POLICY = {
    # Swagger UI styles its elements one by one and draws its icons from data.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
REF = "#/components/schemas/{model}"


def application() -> FastAPI:
    """Without routes yet. `openapi()` describes those that are added."""
    made = FastAPI(
        title="Ticketgate", version="1", description=ABOUT, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json", exception_handlers=problems.HANDLERS,
        generate_unique_id_function=lambda route: f"{route.tags[0]}_{route.name}",  # what generated clients call it
    )  # fmt: skip
    made.add_route("/api/docs", lambda _: FileResponse(PAGE, headers=POLICY))
    made.openapi = lambda: _document(made)  # type: ignore[method-assign]
    return made


def new_message() -> dict[str, Any]:
    """The body of a request whose octets are kept as they came, as OpenAPI tells it."""
    schema = {"$ref": REF.format(model="NewMessage")}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        message = NewMessage.model_json_schema(ref_template=REF)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas.update({"Problem": dict(problems.SCHEMA), **message.pop("$defs", {}), "NewMessage": message})
        for name in ("HTTPValidationError", "ValidationError"):  # what FastAPI would have answered
            schemas.pop(name, None)
        for operation in (one for path in made["paths"].values() for one in path.values()):
            operation["summary"] = operation["description"].partition("\n")[0].partition(": ")[0].rstrip(".")
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}]
        app.openapi_schema = made
    return app.openapi_schema
