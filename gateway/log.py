"""Structured logs: for people on a terminal, JSON lines otherwise. No secrets and no customers' words.

Only the fields named in `ALLOWED` reach a log line, so that a careless call cannot print what a customer wrote:
anything else is shown by its type and length. What libraries log goes through the same gate.
"""

import logging
import sys
from collections.abc import MutableMapping
from functools import partial
from typing import Any

import structlog

ALLOWED = frozenset(
    [
        "event",
        "by",
        "level",
        "timestamp",
        "logger",
        "connector",
        "account",
        "code",
        "status",
        "state",
        "envelope",
        "ticket",
        "number",
        "message",
        "outgoing",
        "target",
        "attempts",
        "wait",
        "seconds",
        "count",
        "waiting",
        "reason_code",
        "ruleset",
        "rules",
        "version",
        "path",
        "port",
        "host",
        "listen",
        "role",
        "point",
        "lane",
        "size",
        "error_type",
        "where",
        "hint",
        "folder",
        "revision",
        "backup",
        "kernel",
        "table",
        "duration_ms",
        "channel",
        "method",
        "route",
        "data",
        "worker",
        "pid",
    ]
)


def words_stay_home(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: keep the allowed fields, tell of others only their kind and length."""
    for name in [name for name in line if name not in ALLOWED and name not in ("exc_info", "exception")]:
        value = line.pop(name)
        line[name] = f"<{type(value).__name__}:{len(str(value))}>"
    return line


def frames_only(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Exceptions by type and place; their text may quote what a customer wrote."""
    trouble = line.pop("exc_info", None)
    if trouble is True:
        trouble = sys.exc_info()
    error = trouble[1] if isinstance(trouble, tuple) else trouble
    if isinstance(error, BaseException):
        line["error_type"] = type(error).__name__
        at = error.__traceback__
        while at and at.tb_next:
            at = at.tb_next
        if at:
            line["where"] = f"{at.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{at.tb_lineno}"
    return line


def configure(*, level: str = "info", json: bool | None = None, worker: int = 0) -> None:
    """Set logging up once for the process. `json` None means: JSON unless standard error is a terminal.

    Each line of a worker process bears its number.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[Any] = [
        *([partial(_bear, worker)] if worker else []),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        frames_only,
        words_stay_home,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    foreign = logging.StreamHandler(sys.stderr)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[library_line, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [foreign]
    root.setLevel(logging.WARNING)
    # httpx logs every URL at INFO, and some vendors carry a token in the URL; aiosmtpd logs addresses.
    for noisy in ("httpx", "httpcore", "mail.log", "mail.debug", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _bear(worker: int, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line["worker"] = worker
    return line


def library_line(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What a library says may hold anything; keep who said it, and how long it was."""
    said = line.get("event", "")
    line["event"] = "library"
    line["size"] = len(str(said))
    record = line.get("_record")
    if record is not None:
        line["logger"] = record.name
        line["where"] = f"{record.filename}:{record.lineno}"
    return line


log = structlog.get_logger("ticketgate")
