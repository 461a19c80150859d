"""Where settings say something is: addresses to listen on, and files."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

_NAME = re.compile(r"(?=.*[A-Za-z])(?=.{1,253}$)[\w-]{1,63}(?:\.[\w-]{1,63})*\.?", re.ASCII)
_PORT = re.compile(r"\d{1,5}", re.ASCII)


def host_and_port(listen: str) -> tuple[str, int]:
    """Of `127.0.0.1:25`, `[::1]:25`, `name:25`, or `:25` for everywhere. Raises ValueError with what to write."""
    host, colon, port = listen.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"{listen!r} has no port of 0 to 65535; write 127.0.0.1:2525")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if host and not _NAME.fullmatch(host) and _version(bare) != (4 if bare == host else 6):
        raise ValueError(f"{listen!r} names no host; write 127.0.0.1:{port}, [::1]:{port} or a host's name")
    return bare, int(port)


def _version(host: str) -> int:
    """4 or 6; 0 if it is no IP address."""
    try:
        return ip_address(host).version
    except ValueError:
        return 0


def _door(listen: str, info: ValidationInfo) -> str:
    if listen.startswith("unix:"):
        return f"unix:{_beside(Path(listen.removeprefix('unix:')), info)}"
    host_and_port(listen)
    return listen


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are relative to the settings file, whose folder is the context they are read in."""
    return info.context["folder"] / path if info.context else path


def _there(path: Path, info: ValidationInfo) -> Path:
    file = _beside(path, info)
    if info.context and not file.is_file():
        raise ValueError(f"there is no file {file}; relative paths are relative to the settings file")
    return file


Listen = Annotated[str, AfterValidator(_door)]  # host:port, or unix:PATH
File = Annotated[Path, AfterValidator(_there)]
