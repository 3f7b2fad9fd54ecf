"""A small profile on a real Slurm of one node, disturbed, against the same profile run locally."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from conftest import copy_workflow

PROFILE = """
profile: small
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae, lvae-bn-wu], depths: [2], seeds: [0, 1]}
network: {latent_sizes: [8, 4], hidden_sizes: [64, 32]}
training: {epochs: 60, warm_up_epochs: 5}
evaluation: {samples: 20, images: 100, train_images: 100, unit_samples: 2}
calibration: {images: 20, samples: 10}
compute: {pack: 2, shards: 2, checkpoint_minutes: 0.001}
"""
#: rests on every run; the figures would be drawn beside the jobs and show nothing here
LOGLIK = "results/small/tables/loglik.csv"
RESULTS = ("weights.safetensors", "training.h5", "evaluation.h5")
SLURM_CONF = """
ClusterName=rungs
SlurmctldHost={host}
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
KillWait=20
MinJobAge=600
ReturnToService=2
SchedulerParameters=sched_interval=2
NodeName={host} CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """munged, slurmctld and slurmd, started here and stopped in the end."""
    missing = [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: install Debian's slurm-wlm and munge")
    if os.geteuid() != 0:
        pytest.skip("starting slurmd needs root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname()
    conf = folder / "slurm.conf"
    text = SLURM_CONF.format(
        host=host, folder=folder, ctld_port=free_port(), d_port=free_port(), cpus=os.cpu_count()
    )
    conf.write_text(text)
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
    daemons = []
    try:
        for command in (munged, ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            log = (folder / f"{command[0]}.out").open("w")
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
            time.sleep(1)
        deadline = time.monotonic() + 60
        while "idle" not in ask("sinfo", "-h", "-o", "%t"):
            if time.monotonic() > deadline:
                logs = "\n".join(p.read_text()[-1500:] for p in folder.glob("*.[lo][ou][gt]"))
                pytest.fail(f"Slurm did not come up:\n{logs}")
            time.sleep(0.5)
        yield folder
    finally:
        ask("scancel", "--user=root")
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)
        system.unlink()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The profile run locally, undisturbed, one run a job and one likelihood a run."""
    folder = copy_workflow(tmp_path_factory.mktemp("local"))
    unpacked = PROFILE.replace("pack: 2", "pack: 1").replace("shards: 2", "shards: 1")
    (folder / "small.yaml").write_text(unpacked)
    process = snakemake(folder, "--cores", "2")
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", LOGLIK, *arguments, "--configfile", "small.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def running() -> dict[str, str]:
    """Number of each running job -> its comment, which names the rule."""
    lines = ask("squeue", "-h", "-t", "RUNNING", "-o", "%i|%k").splitlines()
    return dict(line.split("|", 1) for line in lines if "|" in line)


def trainers(folder: Path) -> dict[str, psutil.Process]:
    """Job number -> the process that trains, for the packs that have a checkpoint."""
    found = {}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if (
            process.info["cwd"] == str(folder)
            and process.info["cmdline"][1:5] == ["-m", "rungs", "pack", "train"]
            and list((folder / "results/small/work").glob("**/checkpoint-*"))
        ):
            found[process.environ().get("SLURM_JOB_ID", "")] = process
    return found


def contents(folder: Path) -> dict[str, bytes]:
    runs = folder / "results/small/runs"
    return {
        str(path.relative_to(runs)): path.read_bytes()
        for name in RESULTS
        for path in sorted(runs.glob(f"**/{name}"))
    }


def test_a_disturbed_cluster_gives_the_bytes_of_a_quiet_workstation(
    slurm: Path, local: Path, tmp_path: Path
) -> None:
    """One running job goes back to the queue, one is killed on the node; packs of two runs and
    split likelihoods there, none of either here."""
    folder = copy_workflow(tmp_path)
    (folder / "small.yaml").write_text(PROFILE)
    process = snakemake(
        folder,
        *("--profile", "workflow/profiles/slurm", "--slurm-status-command", "squeue"),
        *("--slurm-init-seconds-before-status-checks", "3", "--slurm-no-account"),
        *("--default-resources", "tasks=1"),
    )
    requeued = killed = ""
    deadline = time.monotonic() + 400
    try:
        while process.poll() is None and time.monotonic() < deadline:
            for job, trainer in trainers(folder).items():
                if not requeued:
                    requeued = job
                    subprocess.run(["scontrol", "requeue", job], check=True)
                    time.sleep(3)
                    subprocess.run(
                        ["scontrol", "update", f"jobid={job}", "starttime=now"], check=False
                    )
                    break
                if not killed and job != requeued:
                    killed = job
                    trainer.send_signal(signal.SIGKILL)
                    break
            if requeued and not killed and not trainers(folder) and not running():
                ask("scontrol", "update", f"jobid={requeued}", "starttime=now")
            time.sleep(0.3)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, output[-6000:]
    assert requeued, "no job was caught running"
    assert killed, "no second job was caught running"
    expected = contents(local)
    assert len(expected) == 4 * len(RESULTS)
    found = contents(folder)
    assert found.keys() == expected.keys()
    differing = [name for name in expected if found[name] != expected[name]]
    assert not differing
