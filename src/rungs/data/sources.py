"""Raw files: found in the user's folder or downloaded, and always checked."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from rungs.errors import DataError
from rungs.files import replacing, sha256


def git_blob_id(content: bytes) -> str:
    """The name that Git gives to a file of this content (SHA-1 of a header and the content)."""
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def read_checked(path: Path, expected: str, max_bytes: int) -> bytes:
    """The content of a file whose SHA-256 (64 digits) or Git blob id (40 digits) is known.

    Raises:
        DataError: if the file is missing, larger than ``max_bytes``, or not the expected one.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    found = sha256(content) if len(expected) == 64 else git_blob_id(content)
    if len(content) > max_bytes or found != expected:
        raise DataError(
            f"{path}: its checksum is {found}, expected {expected}: the file is truncated, altered or "
            "another one. Replace it by a fresh copy."
        )
    return content


def download(url: str, target: Path, max_bytes: int) -> Path:
    """Download ``url`` to ``target`` unless it is there; at most ``max_bytes``, over TLS.

    Raises:
        DataError: if it cannot be had; the message names the address.
    """
    if target.is_file():
        return target
    if not url.startswith("https://"):
        raise DataError(f"{url}: only addresses over TLS are downloaded.")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - https, see above
            content = answer.read(max_bytes + 1)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"{url}: the download failed ({error}). Fetch the file by other means into the folder that "
            "raw_data in the configuration, or RUNGS_RAW_DATA, names."
        ) from error
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return target
