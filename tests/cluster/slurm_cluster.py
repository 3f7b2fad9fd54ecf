"""A Slurm of one or more nodes on this machine, started by a test."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_profile import ask, free_port

SUBMISSION = (
    *("--profile", "workflow/profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "3", "--slurm-no-account"),
    *("--default-resources", "tasks=1"),
)
SLURM_CONF = """
ClusterName=rungs
SlurmctldHost={host}
SlurmctldPort={ctld_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
KillWait=20
MinJobAge=600
SlurmdTimeout={timeout}
ReturnToService=2
SchedulerParameters=sched_interval=2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} Port={port} CPUs={cpus} RealMemory=8000 State=UNKNOWN\n"


@contextmanager
def started(
    folder: Path,
    nodes: Sequence[str],
    cpus: int,
    timeout: int = 300,
    on_node: Callable[[str], Sequence[str]] = lambda name: (),
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """munged, slurmctld and a slurmd for each node, started here and stopped in the end.

    Args:
        folder: an empty one, for configuration, state and logs.
        cpus: of each node.
        timeout: seconds without an answer after which a node is down.
        on_node: the beginning of the command that starts a node's slurmd.

    Yields:
        The process that started each node's slurmd.
    """
    missing = [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: install Debian's slurm-wlm and munge")
    if os.geteuid() != 0:
        pytest.skip("starting slurmd needs root")
    for name in ("state", *(f"spool.{node}" for node in nodes)):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname()
    conf = folder / "slurm.conf"
    lines = [NODE.format(name=name, host=host, port=free_port(), cpus=cpus) for name in nodes]
    text = SLURM_CONF.format(host=host, folder=folder, ctld_port=free_port(), timeout=timeout)
    conf.write_text(text.replace("PartitionName", "".join(lines) + "PartitionName"))
    # Snakemake clears SLURM_CONF, as jobs would inherit it: the configuration lies where clusters
    # have it
    system = Path("/etc/slurm/slurm.conf")
    if system.exists() and not system.is_symlink():
        pytest.skip(f"{system} exists: this machine has a Slurm of its own")
    system.parent.mkdir(exist_ok=True)
    system.unlink(missing_ok=True)
    system.symlink_to(conf)
    munged = ["munged", "--foreground", "--force", f"--key-file={key}"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    commands = {"munged": munged, "slurmctld": ["slurmctld", "-D", "-i"]}
    commands |= {node: [*on_node(node), "slurmd", "-D", "-N", node] for node in nodes}
    daemons = {}
    try:
        for name, command in commands.items():
            with (folder / f"{name}.out").open("w") as log:
                daemons[name] = subprocess.Popen(command, stdout=log, stderr=log)
            time.sleep(1)
        deadline = time.monotonic() + 60
        while ask("sinfo", "-h", "-N", "-o", "%t").split() != ["idle"] * len(nodes):
            if time.monotonic() > deadline:
                logs = "\n".join(p.read_text()[-1500:] for p in folder.glob("*.[lo][ou][gt]"))
                pytest.fail(f"Slurm did not come up:\n{logs}")
            time.sleep(0.5)
        yield {node: daemons[node] for node in nodes}
    finally:
        ask("scancel", "--user=root")
        for name, daemon in reversed(daemons.items()):
            (daemon.kill if name in nodes else daemon.terminate)()
        for daemon in daemons.values():
            daemon.wait(timeout=30)
        system.unlink()


def jobs() -> dict[str, dict[str, str]]:
    """Number -> what Slurm knows of a job, of all that it remembers."""
    found = {}
    for line in ask("scontrol", "show", "jobs", "--oneliner").splitlines():
        job = dict(re.findall(r"(\w+)=(\S*)", line))
        if "JobId" in job:
            found[job["JobId"]] = job
    return found


def requeue(job: str) -> None:
    """Send a job back to the queue."""
    subprocess.run(["scontrol", "requeue", job], check=True)
    hasten(job, 30)


def hasten(job: str, seconds: int) -> None:
    """Spare a job that comes back to the queue in these seconds the two minutes that Slurm lets it wait."""

    def ask_again() -> None:
        for _ in range(seconds):
            time.sleep(1)
            ask("scontrol", "update", f"jobid={job}", "starttime=now")

    threading.Thread(target=ask_again, daemon=True).start()
