"""Locks: one writer at a time in a run's folder, on any file system that people put results on.

Not every network file system has the kernel's locks, and a dead node does not release them. So a lock
is a file that is made by a hard link, which is atomic on NFS too. It names its holder, which touches it
every few seconds; :mod:`rungs.storage.process` decides whether the holder is alive. Ages are differences
between two times of the same file server, so clocks need not agree.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rungs.errors import RungsError
from rungs.storage.atomic import remove_abandoned, temporary_name, unwritable
from rungs.storage.process import DEAD_AFTER_SECONDS, Heartbeat, identity, is_alive, is_of_here

LOCK = ".lock"
#: tries, and the pause between them, while others make or remove locks
ATTEMPTS, RETRY_SECONDS = 50, 0.05
#: the pause between two looks at the lock of a holder elsewhere
LOOK_SECONDS = 1.0
#: the holder of this file removes a dead holder's lock
GUARD = ".lock-removal"


@contextmanager
def locked(folder: Path, patient: bool = True) -> Iterator[None]:
    """Hold the folder's lock for the duration of the block.

    Args:
        patient: whether to wait until it is certain that a holder elsewhere is alive or dead, and not to
            take one for alive that may have died minutes ago. The job of a node that died soon starts
            anew on another, and would be refused there.

    Raises:
        RungsError: if a living process holds it, or if the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        token = _acquire(path, patient)
    except OSError as error:
        raise unwritable(folder, error) from error
    heart = Heartbeat(lambda: _touch(path, token))
    try:
        yield
    finally:
        heart.stop()
        with suppress(OSError):
            if _holder(path).get("token") == token:
                path.unlink(missing_ok=True)


def _acquire(path: Path, patient: bool) -> str:
    token = uuid.uuid4().hex
    mine = temporary_name(path)
    mine.write_text(json.dumps({"token": token, **identity()}), encoding="utf-8")
    try:
        for _ in range(ATTEMPTS):
            try:
                os.link(mine, path)
            except FileExistsError:
                holder = _holder(path)
                made = holder.get("token") == token  # but the file server's answer was lost
            else:
                made = True
            if made:
                remove_abandoned(path)
                _break_guard(path.with_name(GUARD), mine)
                return token
            alive = holder and _alive(holder, path, mine)
            if alive and not (patient and _falls_silent(holder, path, mine)):
                raise _held(path.parent, holder)
            _remove_dead(path, holder.get("token"), mine)
            time.sleep(RETRY_SECONDS)
    finally:
        mine.unlink(missing_ok=True)
    raise RungsError(f"{path.parent}: several processes want to write it at once; run one of them.")


def _held(folder: Path, holder: dict[str, object]) -> RungsError:
    """The error for a folder that a living process writes."""
    message = (
        f"{folder}: is being written by process {holder.get('process')} on {holder.get('host')}. "
        "Wait until it ends, or stop it; two writers would spoil it."
    )
    if not is_of_here(holder):
        message += (
            f" That process cannot be seen from here: if it was killed, or its machine restarted, try "
            f"again {DEAD_AFTER_SECONDS:.0f} seconds after that."
        )
    return RungsError(message)


def _falls_silent(holder: dict[str, object], path: Path, mine: Path) -> bool:
    """Wait until a holder elsewhere touches its lock, or releases it, or has been silent for so long that it
    is dead; return whether it is. ``mine`` gives the file server's time."""
    if is_of_here(holder):
        return False
    print(
        f"{path.parent}: was being written by process {holder.get('process')} on {holder.get('host')}; "
        f"waiting for a sign of its life, {DEAD_AFTER_SECONDS:.0f} seconds after the last at most",
        file=sys.stderr,
        flush=True,
    )
    mine.touch()
    began = mine.stat().st_mtime
    while _alive(holder, path, mine):
        time.sleep(LOOK_SECONDS)
        try:
            touched = path.stat().st_mtime > began
        except OSError:
            return False
        if touched or _holder(path).get("token") != holder.get("token"):
            return False
    return True


def _remove_dead(path: Path, dead: object, mine: Path) -> None:
    """Remove the lock of a dead holder, if it is still there.

    A second lock guards this: of several that found the holder dead, one at a time looks again
    and removes, so that none takes away the lock that another has just made.
    """
    guard = path.with_name(GUARD)
    try:
        os.link(mine, guard)
    except FileExistsError:
        _break_guard(guard, mine)  # whoever removes is done in no time, or died meanwhile
        return
    try:
        if _holder(path).get("token") == dead:
            path.unlink(missing_ok=True)
    finally:
        guard.unlink(missing_ok=True)


def _break_guard(guard: Path, mine: Path) -> None:
    """Remove the guard of a process that died while it removed a lock."""
    holder = _holder(guard)
    if not guard.exists() or _alive(holder, guard, mine):
        return
    taken = mine.with_name(mine.name.replace(".part", "-guard.part"))
    with suppress(OSError):
        guard.rename(taken)
        if _holder(taken).get("token") != holder.get("token"):  # another has made its own meanwhile
            os.link(taken, guard)
    taken.unlink(missing_ok=True)


def _holder(path: Path) -> dict[str, object]:
    """The content of a lock: its holder. Empty if there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _alive(holder: dict[str, object], path: Path, mine: Path) -> bool:
    """Return whether the lock's holder is alive; ``mine`` gives the file server's present time."""

    def age() -> float:
        mine.touch()
        return mine.stat().st_mtime - path.stat().st_mtime

    return is_alive(holder, age)


def _touch(path: Path, token: str) -> None:
    """Touch the lock if it is still ours."""
    with suppress(OSError):
        if _holder(path).get("token") == token:
            os.utime(path)
