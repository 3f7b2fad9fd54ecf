"""Opening HDF5 files that may be damaged or someone else's.

libhdf5 is written in C and trusts what it reads: a flipped bit in a file's own structures can end the
process or keep it for ever (version 2.0). So files of ours begin with a user block, 512 bytes
that HDF5 leaves alone, with the SHA-256 of all that follows, checked before the library sees the file;
and files of others are first opened by a process of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import signal
import subprocess
import sys
from pathlib import Path

from rungs.storage.formats import RESULT_FILE

#: size of the user block, which begins with the name and the version of the format
BLOCK = 512
NAME = b"rungs store "
SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: seconds of the processor that a first look at someone else's file may take, and on the clock, by which
#: a machine that has much else to do is not taken for a file that keeps the library for ever
SECONDS, PATIENCE = 15, 600
#: opens every object, reads every attribute, and what every array says of itself
_LOOK = """
import resource, sys, h5py
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1]) + 1))
def visit(name, item):
    list(item.attrs.items())
    if isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual:
        item.shape, item.dtype, item.chunks
for path in sys.argv[2:]:
    with h5py.File(path, "r") as file:
        list(file.attrs.items())
        file.visititems(visit)
"""


def signed(content: bytes) -> bytes:
    """A file's content, made with room for a user block but without one, with its user block."""
    return _block(hashlib.sha256(content).hexdigest()) + content


def version(path: Path) -> int | None:
    """The version of the format that a file's user block names; None if it names none."""
    with path.open("rb") as file:
        block = file.read(BLOCK)
    named = re.match(re.escape(NAME) + rb"([0-9]{1,9}) ", block)
    return None if named is None else int(named[1])


def problem(path: Path) -> str | None:
    """What is wrong with a file of ours, without libhdf5; None if nothing is, or if the file has no
    user block, as those that rungs wrote before there was one."""
    with path.open("rb") as file:
        block = file.read(BLOCK)
        if block.startswith(SIGNATURE):
            return None
        if not block.startswith(NAME):
            return "it does not begin as a file of rungs does"
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if block == _block(digest) else "its bytes differ from their checksum"


def is_written(path: Path) -> bool:
    """Whether someone has a file open for writing: libhdf5 then locks it, and changes its bytes at once."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file that is gone, or a file system without locks
        return False
    return False


def _block(digest: str) -> bytes:
    return (b"%s%d %s\n" % (NAME, RESULT_FILE, digest.encode())).ljust(BLOCK, b"\0")


def crashes(*paths: Path) -> str | None:
    """Why files of someone else's cannot even be looked at: the library dies of one, or does not end.
    What the library says in words is no reason here; it is told when the file is read."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOOK, str(SECONDS), *map(str, paths)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"libhdf5 has not opened it in {PATIENCE} seconds"
    if done.returncode == -signal.SIGXCPU:
        return f"libhdf5 has not opened it in {SECONDS} seconds"
    return "libhdf5 dies of it" if done.returncode < 0 else None
