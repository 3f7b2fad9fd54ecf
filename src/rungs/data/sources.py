"""Raw files: found in the user's folder or downloaded, and always checked."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from rungs.errors import AbsentDataError, DataError
from rungs.storage.atomic import replacing, sha256

#: seconds that a server may say nothing, and that a whole download may take
SILENCE, LONGEST = 60, 3600
PART = 2**20


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
    except FileNotFoundError as error:
        raise AbsentDataError(
            f"{path}: is missing. Put the file there, or unset raw_data and RUNGS_RAW_DATA to download it."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    if len(content) > max_bytes:
        raise DataError(
            f"{path}: has more than {max_bytes} bytes, so its checksum cannot be the expected one: it is "
            "another file. Replace it by a fresh copy."
        )
    found = checksum(content, expected)
    if found != expected:
        raise DataError(
            f"{path}: its checksum is {found}, expected {expected}: the file is truncated, altered or "
            "another one. Replace it by a fresh copy."
        )
    return content


def checksum(content: bytes, like: str) -> str:
    """The checksum of ``content`` of the kind that ``like`` is: SHA-256, or a Git blob id."""
    return sha256(content) if len(like) == 64 else git_blob_id(content)


class _OnlyTls(urllib.request.HTTPRedirectHandler):
    """A server may send elsewhere, but not away from TLS."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it sends to {newurl}, which is not over TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, target: Path, max_bytes: int, expected: str | None = None) -> Path:
    """Download ``url`` to ``target`` unless it is there; at most ``max_bytes``, over TLS.

    Args:
        expected: SHA-256 or Git blob id; a file with another is not kept. Without it whoever reads the
            file checks it.

    Raises:
        DataError: if it cannot be had, or is not what it should be; the message names the address.
    """
    if target.is_file():
        return target
    if not url.startswith("https://"):
        raise DataError(f"{url}: only addresses over TLS are downloaded.")
    try:
        # the handlers of urlopen: certificates are verified by the default context
        with urllib.request.build_opener(_OnlyTls).open(url, timeout=SILENCE) as answer:
            content = _read(answer, max_bytes)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise DataError(
            f"{url}: the download failed ({error}). Fetch the file by other means into the folder that "
            "raw_data in the configuration, or RUNGS_RAW_DATA, names."
        ) from error
    if expected is not None and (found := checksum(content, expected)) != expected:
        raise DataError(
            f"{url}: what was downloaded has the checksum {found}, expected {expected}; it is not kept. "
            "Try again, or fetch the file by other means into the folder that raw_data in the "
            "configuration, or RUNGS_RAW_DATA, names."
        )
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return target


def _read(answer: IO[bytes], max_bytes: int) -> bytes:
    """All that the server sends, if it is not too much and does not take for ever."""
    parts: list[bytes] = []
    length, end = 0, time.monotonic() + LONGEST
    while part := answer.read(PART):
        parts.append(part)
        length += len(part)
        if length > max_bytes:
            raise ValueError(f"it is larger than {max_bytes} bytes")
        if time.monotonic() > end:
            raise TimeoutError(f"it takes more than {LONGEST} seconds")
    return b"".join(parts)
