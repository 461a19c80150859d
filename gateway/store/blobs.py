"""Large bodies, each in a sealed file of its own, named by what is in it.

The file is written, synced, renamed and its folder synced before any row speaks of it. Equal bodies share a file: its
key follows from the content, and each envelope keeps the content's hash sealed. Without such a row it cannot be opened.
"""

import os
from pathlib import Path

from gateway.crypto import Vault, sha256, sync_folder
from gateway.faults import reach


class Blobs:
    def __init__(self, folder: Path, vault: Vault) -> None:
        self.folder, self.vault = folder, vault
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def name(self, content_sha256: bytes) -> str:
        return self.vault.digest("blob", content_sha256)

    def keep(self, body: bytes) -> tuple[str, bytes]:
        """Make the body durable. Returns the file's name and the content's hash, which opens it."""
        content = sha256(body)
        name = self.name(content)
        self.write(name, content, body)
        return name, content

    def write(self, name: str, content: bytes, body: bytes) -> None:
        sealed = self.vault.blob_key(content).seal(body, f"blob:{name}")
        fresh = self.folder / f"{name}.{os.urandom(4).hex()}.new"
        try:
            _write_synced(fresh, sealed)
            reach("blob.before_rename")
            fresh.replace(self.folder / name)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        reach("blob.after_rename")
        sync_folder(self.folder)
        reach("blob.after_sync")

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def read(self, name: str, content: bytes) -> bytes:
        """Raises OSError, or SealedError if the file is not what was written."""
        return self.vault.blob_key(content).open((self.folder / name).read_bytes(), f"blob:{name}")

    def remove(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        sync_folder(self.folder)


def _write_synced(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        reach("blob.before_sync")
        os.fsync(out.fileno())
