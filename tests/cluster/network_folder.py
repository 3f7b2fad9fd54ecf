"""A folder that several machines see, each through a mount of its own: sshfs, from an sshd of the test's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from small_profile import free_port

#: a machine as far as files and processes go: mounts and process numbers of its own. Who kills the
#: first of these processes kills all, as a power cut does.
MACHINE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
#: mounts the served folder over itself, and goes where it was started, now through the mount
MOUNT = 'sshfs {options} root@127.0.0.1:"{folder}" "{folder}" && cd "$PWD" && exec "$@"'
SSHD_CONF = """
ListenAddress 127.0.0.1
Port {port}
HostKey {keys}/key
AuthorizedKeysFile {keys}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
"""
SSH_OPTIONS = (
    *("port={port}", "IdentityFile={keys}/key", "StrictHostKeyChecking=no"),
    *("UserKnownHostsFile=/dev/null", "LogLevel=ERROR"),
)


@contextmanager
def served(folder: Path, keys: Path) -> Iterator[Callable[[str], list[str]]]:
    """Serve a folder over the network while the block runs.

    Args:
        folder: a folder of this machine, whose path it has on the other machines too.
        keys: an empty folder, for the server's key, which is also its client's.

    Yields:
        The beginning of a command that runs on another machine, by that machine's name.
    """
    missing = [name for name in ("sshd", "ssh-keygen", "sshfs") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: install Debian's sshfs and openssh-server")
    if os.geteuid() != 0:
        pytest.skip("mounts of one's own need root")
    port = free_port()
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", keys / "key"], check=True)
    (keys / "sshd.conf").write_text(SSHD_CONF.format(port=port, keys=keys))
    options = " ".join(f"-o {option}" for option in SSH_OPTIONS).format(port=port, keys=keys)
    mount = MOUNT.format(folder=folder, options=options)

    def on_machine(name: str) -> list[str]:
        return [*MACHINE, "sh", "-c", mount, name]

    Path("/run/sshd").mkdir(exist_ok=True)
    with (keys / "sshd.log").open("w") as log:
        command = [str(shutil.which("sshd")), "-D", "-e", "-f", str(keys / "sshd.conf")]
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port, keys / "sshd.log")
        tried = subprocess.run(
            [*on_machine("trial"), "true"], capture_output=True, text=True, check=False
        )
        if tried.returncode:
            pytest.skip(f"sshfs cannot be mounted in a namespace: {tried.stderr.strip()}")
        yield on_machine
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)


def inside(machine: subprocess.Popen[str], folder: Path) -> list[str]:
    """The beginning of a command that runs on a machine on which another runs, and sees what its mount
    remembers.

    Args:
        machine: the process that started the other command there.
        folder: in which it runs.
    """
    (first,) = psutil.Process(machine.pid).children()
    return ["nsenter", f"--target={first.pid}", "--mount", "--pid", "env", f"--chdir={folder}"]


def _wait_for(port: int, log: Path) -> None:
    """Wait until the server listens."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"sshd did not come up:\n{log.read_text()}")
