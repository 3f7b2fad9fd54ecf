"""Who writes: this process, by a name that others can tell to be gone."""

from __future__ import annotations

import hashlib
import os
import uuid

#: the machine, short enough for a file's name
MACHINE = hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]
#: tells this process from an earlier one of the same number
TOKEN = uuid.uuid4().hex[:8]


def writer() -> str:
    """This process, as the names of its temporary files carry it."""
    return f"{MACHINE}-{os.getpid()}-{TOKEN}"


def is_gone(process: int) -> bool:
    """Whether this machine has no process of this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it is another user's
        return False
    return False


def writer_is_gone(name: str) -> bool:
    """Whether the process of a :func:`writer`'s name is known to be gone; False of one on another
    machine, of which nothing is known here.

    >>> writer_is_gone(writer()), writer_is_gone(f"{MACHINE}-{os.getpid()}-earlier")
    (False, True)
    """
    machine, _, rest = name.partition("-")
    process, _, token = rest.partition("-")
    if machine != MACHINE or not process.isdigit():
        return False
    return token != TOKEN if int(process) == os.getpid() else is_gone(int(process))
