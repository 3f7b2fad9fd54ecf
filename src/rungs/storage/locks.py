"""One writer a run, on any file system that people put results on.

Locks of the kernel are not to be had on every network file system, and a dead node does not
release them. So a lock is a file that is made by a hard link (atomic on NFS too), that says who
holds it, and that the holder touches every few seconds. A holder is dead if its process is gone
(on the same machine) or if the file has not been touched for minutes (on another); ages are
differences between two times of the same file server, so clocks need not agree.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rungs.errors import RungsError
from rungs.storage.atomic import remove_abandoned, temporary_name, unwritable

HEARTBEAT_SECONDS = 20.0
DEAD_AFTER_SECONDS = 180.0
#: tries, and the pause between them, while others make or remove locks
ATTEMPTS, RETRY_SECONDS = 50, 0.05
#: who holds this file removes a dead holder's lock
GUARD = ".lock-removal"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the length of the block.

    Raises:
        RungsError: if a living process holds it, or if the folder cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        token = _acquire(path)
    except OSError as error:
        raise unwritable(folder, error) from error
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, token, stop), daemon=True)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()
        with suppress(OSError):
            if _holder(path).get("token") == token:
                path.unlink(missing_ok=True)


def _acquire(path: Path) -> str:
    token = uuid.uuid4().hex
    mine = temporary_name(path)
    who = {"token": token, "host": os.uname().nodename, "process": os.getpid()}
    who["started"] = _start_time(os.getpid())
    mine.write_text(json.dumps(who), encoding="utf-8")
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
            if holder and _alive(holder, path, mine):
                raise RungsError(
                    f"{path.parent}: is being written by process {holder.get('process')} on "
                    f"{holder.get('host')}. Wait until it ends, or stop it; two writers would spoil it."
                )
            _remove_dead(path, holder.get("token"), mine)
            time.sleep(RETRY_SECONDS)
    finally:
        mine.unlink(missing_ok=True)
    raise RungsError(f"{path.parent}: several processes want to write it at once; run one of them.")


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
    """Who holds the lock; empty if nobody or if the file cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _alive(holder: dict[str, object], path: Path, mine: Path) -> bool:
    """Whether the lock's holder lives; ``mine`` gives the file server's present time."""
    if holder.get("host") == os.uname().nodename:
        started = _start_time(int(str(holder.get("process", 0))))
        return started is not None and started == holder.get("started")
    try:
        mine.touch()
        return mine.stat().st_mtime - path.stat().st_mtime < DEAD_AFTER_SECONDS
    except OSError:
        return False


def _start_time(process: int) -> str | None:
    """When a process of this machine started (a number may be given again); None if it is gone."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        pass
    else:
        fields = status.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(process, 0)
    except (OSError, OverflowError):
        return None
    return "unknown"


def _beat(path: Path, token: str, stop: threading.Event) -> None:
    """Touch the lock while it is ours."""
    while not stop.wait(HEARTBEAT_SECONDS):
        if _holder(path).get("token") != token:
            return
        with suppress(OSError):
            os.utime(path)
