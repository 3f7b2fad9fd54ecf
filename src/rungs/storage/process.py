"""The process that writes a file, and whether it is still alive.

Locks, beacons and temporary files all ask here. A process is known by its number and by the time of its
start, because numbers are used again. It can be looked up from the same place alone, which is one boot of
one kernel and one namespace of process numbers: containers have numbers of their own, often 1, and often
one host name. A process of another place counts as alive while it touches its file, which it does every
:data:`HEARTBEAT_SECONDS`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

#: how often a process touches its file, and how long after that it is believed to be alive
HEARTBEAT_SECONDS, DEAD_AFTER_SECONDS = 20.0, 180.0
#: distinguishes this process from an earlier one of the same number
TOKEN = uuid.uuid4().hex[:8]
UNKNOWN = "unknown"


def _place() -> str:
    """Where this process can be looked up by its number: a boot and a namespace, by the kernel's names;
    the host, of a system that does not tell them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it names no file
        if os.readlink("/proc/self") != str(os.getpid()):  # noqa: PTH115
            return f"nowhere {TOKEN}"  # /proc is that of another namespace, with other numbers
    except OSError:
        return f"host {os.uname().nodename}"
    return f"boot {boot} {namespace}"


PLACE = _place()
#: the place, short enough for a file's name
MACHINE = hashlib.sha256(PLACE.encode()).hexdigest()[:8]


def identity() -> dict[str, object]:
    """This process, as locks and beacons carry it: ``host``, ``place``, ``process`` and ``started``."""
    number = os.getpid()
    return {
        "host": os.uname().nodename,
        "place": PLACE,
        "process": number,
        "started": start_time(number),
    }


def is_of_here(who: Mapping[str, object]) -> bool:
    """Return whether a process, by its :func:`identity`, can be looked up from here."""
    return who.get("place") == PLACE


def is_alive(who: Mapping[str, object], age: Callable[[], float]) -> bool:
    """Return whether a process is alive.

    Args:
        who: its :func:`identity`, as a file gives it, which need not be well-formed.
        age: returns the seconds since it last touched its file. It is called only where the process
            cannot be looked up; an OSError means that the file is gone, and the process with it.
    """
    if is_of_here(who):
        started = start_time(who.get("process"))
        if started != UNKNOWN:
            return started is not None and started == who.get("started")
    try:
        return age() < DEAD_AFTER_SECONDS
    except OSError:
        return False


def start_time(process: object) -> str | None:
    """The time at which a process of this place started, by the kernel's clock; :data:`UNKNOWN` where
    the system hides it, None if there is no such process."""
    try:
        number = int(str(process))
        if number < 1:  # a group of processes, to os.kill
            return None
        status = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except ValueError:
        return None
    except OSError:
        pass
    else:
        fields = status.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(number, 0)
    except PermissionError:  # it is another user's
        return UNKNOWN
    except (OSError, OverflowError):
        return None
    return UNKNOWN


def writer() -> str:
    """This process, as the names of its temporary files carry it."""
    return f"{MACHINE}-{os.getpid()}-{TOKEN}"


def writer_is_gone(name: str) -> bool:
    """Return whether the process of a :func:`writer`'s name is known to be gone.

    Nothing is known of a process of another place.

    >>> writer_is_gone(writer()), writer_is_gone(f"{MACHINE}-{os.getpid()}-earlier")
    (False, True)
    """
    machine, _, rest = name.partition("-")
    process, _, token = rest.partition("-")
    if machine != MACHINE or not process.isdigit():
        return False
    return token != TOKEN if int(process) == os.getpid() else start_time(process) is None


class Heartbeat:
    """Calls a function every :data:`HEARTBEAT_SECONDS`, in a thread of its own, until it is stopped."""

    def __init__(self, beat: Callable[[], object]) -> None:
        self._beat, self._stop = beat, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it, and wait for a call that is being made."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            self._beat()
