"""A small profile on a real Grid Engine of one node, disturbed, against the same profile run locally."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_profile import ask, assert_same_results, free_port, quiet_results, run_disturbed

from conftest import copy_workflow

PROGRAMS = Path("/usr/lib/gridengine")
RESOURCES = Path("/usr/share/gridengine")
#: as Debian sets a cluster up, but with files instead of a database, in a folder of the test's own
BOOTSTRAP = """
admin_user root
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {folder}/default/common;{folder}/qmaster
binary_path {programs}
qmaster_spool_dir {folder}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
#: what differs from Debian's configuration: the tests are root, and have no time to wait
CONFIGURATION = {
    "execd_spool_dir": "{folder}/execd",
    "mailer": "/bin/true",
    "min_uid": "0",
    "min_gid": "0",
    "load_report_time": "00:00:02",
    "reporting_params": "accounting=true reporting=false flush_time=00:00:01 joblog=false "
    "sharelog=00:00:00",
}
SCHEDULER = {
    "schedule_interval": "0:0:2",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
    "job_load_adjustments": "NONE",
}
QUEUE = {
    "hostlist": "{host}",
    "load_thresholds": "NONE",
    "pe_list": "smp",
    "rerun": "TRUE",
    "slots": "{slots}",
    "notify": "00:00:20",
}


def changed(text: str, values: dict[str, str], **names: object) -> str:
    """A configuration of Grid Engine, lines of a name and a value, with some values replaced."""
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name}\b.*$", f"{name} {value.format(**names)}", text)
        assert count == 1, name
    return text


@pytest.fixture(scope="module")
def grid_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """sge_qmaster and sge_execd, started here and stopped in the end."""
    missing = [name for name in ("sge_qmaster", "sge_execd", "qsub") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: install Debian's gridengine-master, -exec, -client")
    if os.geteuid() != 0:
        pytest.skip("starting sge_execd needs root")
    folder = tmp_path_factory.mktemp("grid-engine")
    common = folder / "default/common"
    for name in (common, folder / "qmaster/job_scripts", folder / "execd"):
        name.mkdir(parents=True)
    for name in ("bin", "util", "utilbin", "lib"):
        (folder / name).symlink_to(Path("/var/lib/gridengine") / name)
    host = socket.gethostname()
    (common / "bootstrap").write_text(BOOTSTRAP.format(folder=folder, programs=PROGRAMS).lstrip())
    (common / "act_qmaster").write_text(f"{host}\n")
    (common / "host_aliases").write_text(f"{host} localhost\n")
    ours = {"SGE_ROOT": str(folder), "SGE_CELL": "default"}
    ours |= {f"SGE_{name}_PORT": str(free_port()) for name in ("QMASTER", "EXECD")}
    before = dict(os.environ)
    os.environ.update(ours)
    daemons: list[subprocess.Popen[bytes]] = []

    def configured(name: str, text: str) -> str:
        path = folder / name
        path.write_text(text)
        return str(path)

    def do(*command: str | Path) -> str:
        done = subprocess.run(
            command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def start(daemon: str, *sign: str) -> None:
        with (folder / f"{daemon}.out").open("w") as log:
            environment = os.environ | {"SGE_ND": "1"}  # stay in the foreground
            daemons.append(subprocess.Popen([daemon], env=environment, stdout=log, stderr=log))
        deadline = time.monotonic() + 60
        while host not in ask(*sign):
            if time.monotonic() > deadline:
                logs = "\n".join(p.read_text()[-1500:] for p in folder.glob("*.out"))
                pytest.fail(f"{daemon} did not come up:\n{logs}")
            time.sleep(0.5)

    try:
        default = (RESOURCES / "default-configuration").read_text()
        do(PROGRAMS / "spoolinit", "classic", "libspoolc", f"{common};{folder}/qmaster", "init")
        for kind, value in (
            (
                "configuration",
                configured("configuration", changed(default, CONFIGURATION, folder=folder)),
            ),
            ("complexes", RESOURCES / "util/resources/centry"),
            ("usersets", RESOURCES / "util/resources/usersets"),
            ("managers", "root"),
        ):
            do(PROGRAMS / "spooldefaults", kind, value)
        start("sge_qmaster", "qconf", "-sh")
        do("qconf", "-as", host)
        do("qconf", "-Ap", RESOURCES / "util/resources/pe/smp")
        do("qconf", "-Msconf", configured("scheduler", changed(do("qconf", "-ssconf"), SCHEDULER)))
        start("sge_execd", "qconf", "-sel")
        # without a name, the template of a queue
        queue = changed(
            re.sub(r"(?m)^qname.*$", "qname all.q", do("qconf", "-sq")),
            QUEUE,
            host=host,
            slots=os.cpu_count(),
        )
        do("qconf", "-Aq", configured("queue", queue))
        yield folder
    finally:
        ask("qdel", "-f", "-u", "*")
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)
        os.environ.clear()
        os.environ.update(before)


def test_a_disturbed_grid_engine_gives_the_bytes_of_a_quiet_workstation(
    grid_engine: Path, tmp_path: Path
) -> None:
    """One running job goes back to the queue; another is killed with all its processes, so that only the
    accounting knows of its end."""
    expected = quiet_results()
    folder = copy_workflow(tmp_path)

    def requeue(job: str) -> None:
        subprocess.run(["qmod", "-rj", job], check=True, capture_output=True)

    def kill(trainer: psutil.Process) -> None:
        os.killpg(os.getpgid(trainer.pid), signal.SIGKILL)

    run_disturbed(
        folder,
        *("JOB_ID", requeue, kill),
        *("--profile", "workflow/profiles/sge", "--seconds-between-status-checks", "3"),
    )
    assert_same_results(folder, expected)
    reasons = re.findall(r"(?m)^(?:failed|exit_status) .*$", ask("qacct", "-j"))
    assert any("rescheduling" in reason for reason in reasons)
    assert any("137" in reason for reason in reasons)
