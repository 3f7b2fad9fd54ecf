"""Unpacks archives of runs, which are not trusted.

Only the members of the format (:mod:`rungs.exchange.archive_format`) are accepted, each is checked against
its size and hash, and nothing is unpickled.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from rungs.errors import ArchiveError, RungsError, StoreError
from rungs.exchange.archive_format import (
    FORMAT,
    MANIFEST,
    MEMBERS,
    MOST_BYTES,
    MOST_JSON,
    REQUIRED,
    VERSION,
    parse,
    refused,
)
from rungs.exchange.unpacked import check_folder


def open_archive(path: Path, folder: Path | None = None) -> Path:
    """Unpack an archive into a run folder, every member checked.

    Args:
        folder: where to; by default one named after the archive beside it. It must not be there
            yet, or hold the same archive, which then is checked again.

    Returns:
        The folder. It can be loaded, evaluated and verified as a run's.

    Raises:
        ArchiveError: if the file is no archive of a run, damaged, or not to be trusted.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ArchiveError(f"{path}: is no archive, but a folder, a pipe or the like.")
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such archive.")
    target = path.with_suffix("") if folder is None else Path(folder)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(path, archive)
            if target.exists():
                _compare(path, target, manifest)
                check_folder(target)
                return target
            _unpack(path, archive, manifest, target)
    except RungsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchiveError(f"{path}: cannot be unpacked into {target} ({reason}).") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, EOFError) as error:
        raise refused(path, str(error)) from error
    except zlib.error as error:
        raise refused(path, "a member cannot be decompressed") from error
    return target


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read the manifest, once the zip file is seen to list permissible members alone."""
    entries = archive.infolist()
    names = [member.filename for member in entries]
    for member in entries:
        if member.filename not in MEMBERS:
            raise refused(path, f"unexpected member {member.filename[:100]!r}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise refused(path, f"member {member.filename!r} is not a plain file")
        if member.flag_bits & 0x1:
            raise refused(path, f"member {member.filename!r} is encrypted")
        if Path(member.filename).suffix == ".json" and member.file_size > MOST_JSON:
            raise refused(path, f"member {member.filename!r} has {member.file_size:,} bytes")
    if len(set(names)) != len(names):
        raise refused(path, "a member is there twice")
    if sum(member.file_size for member in entries) > MOST_BYTES:
        raise refused(path, f"it unpacks to more than {MOST_BYTES:,} bytes")
    if MANIFEST not in names:
        raise refused(path, f"it has no {MANIFEST}")
    manifest = parse(path, MANIFEST, _member(path, archive, MANIFEST, MOST_JSON))
    if manifest.get("format") != FORMAT:
        raise refused(path, f"{MANIFEST} is not of the format {FORMAT}")
    if (version := manifest.get("version")) != VERSION:
        raise ArchiveError(
            f"{path}: has version {str(version)[:20]} of its format, and this version of rungs reads "
            f"{VERSION}. Read it with the version of rungs that wrote it, or export the run again."
        )
    listed = manifest.get("members")
    if not isinstance(listed, dict):
        raise refused(path, f"{MANIFEST} lists no members")
    for name in sorted({*REQUIRED, *listed, *names} - {MANIFEST}):
        if name not in listed or name not in names:
            raise refused(path, f"member {name[:100]!r} is missing, or not in {MANIFEST}")
        if not isinstance(listed[name], dict):
            raise refused(path, f"{MANIFEST} says nothing of {name!r}")
        if listed[name].get("bytes") != archive.getinfo(name).file_size:
            raise refused(path, f"member {name!r} has another size than {MANIFEST} says")
    return manifest


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Read a member's bytes; a zip file may lie about their number."""
    with archive.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise refused(path, f"member {name!r} is longer than it says")
    return content


def _unpack(path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        part.chmod(0o755)
        for name in (MANIFEST, *sorted(manifest["members"])):
            content = _member(path, archive, name, archive.getinfo(name).file_size)
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_bytes(content)
        try:
            check_folder(part)
        except StoreError as error:
            raise ArchiveError(str(error).replace(str(part), str(path))) from error
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _compare(path: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Refuse to write into a folder that holds something else."""
    there = target / MANIFEST
    if not there.is_file() or parse(there, MANIFEST, there.read_bytes()) != manifest:
        raise ArchiveError(
            f"{target}: is there already and not from {path}; name another folder (--as)."
        )
