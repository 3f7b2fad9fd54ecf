"""The faults, kind by kind. Each case disturbs the real workflow in a copy of the undisturbed folder,
does what a user would do then, and compares everything with the undisturbed folder."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from place import Ended, Place, differences, files, rungs, snakemake
from stages import LADDER, LINKS, RUNS, STAGES, VQ, WORK, Stage


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    Attributes:
        what: the fault, in words.
        hit: whether it struck before the command had ended.
        survived: whether the results were the undisturbed ones in the end.
        remarks: what the user had to do besides starting the same command again, or what was lost.
    """

    what: str
    hit: bool
    survived: bool
    remarks: str = ""


@dataclass(frozen=True)
class Case:
    """A case: what it is called, the stage that it strikes, and how to do it in a folder of its own,
    which does not exist yet."""

    name: str
    kind: str
    stage: str
    do: Callable[[Place, Path], Outcome]


def _again(
    place: Place, reference: Path, command: Sequence[str], hint: Ended | None = None
) -> tuple[bool, str]:
    """Start the same command until it is done, doing what its messages say; whether everything then
    is as in the undisturbed folder, and remarks."""
    remarks = []
    ended = hint if hint is not None else place.run(command)
    for _ in range(4):
        if ended.status == 0:
            break
        advice = _follow(place, ended.output)
        if advice is None:
            return False, f"does not say what to do: {_last_words(ended.output)}"
        remarks.append(advice)
        ended = place.run(command)
    if ended.status != 0:
        return False, f"fails again and again: {_last_words(ended.output)}"
    if "Traceback" in ended.output:
        remarks.append("a traceback was printed")
    place.bring_back(reference)
    found = differences(place.folder, reference)
    if found:
        return False, "; ".join([*remarks, *found[:6]])
    return True, "; ".join(remarks)


def _follow(place: Place, output: str) -> str | None:
    """Do what a message says; what was done, None if it says nothing that helps."""
    if "--unlock" in output:
        done = place.run([*snakemake("--unlock")])
        return "snakemake --unlock" if done.status == 0 else None
    if holder := re.search(r"being written by process (\d+)", output):
        _wait_for(int(holder[1]))
        return "waited for the process that the message names"
    if deletion := re.search(r"(results/\S+?): .*[Dd]elete", output):
        other = re.search(r"and its other name (results/[^ ]+)", output)
        names = [deletion[1], *([other[1]] if other else [])]
        if not all((place.folder / name).exists() for name in names):
            return None
        for name in names:
            (place.folder / name).unlink()
        return f"deleted {' and '.join(names)}, as the message says"
    if "run the same command again" in output:
        return "started it again, as the message says"
    return None


def _wait_for(process: int) -> None:
    deadline = time.monotonic() + 120
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-400:]


#: who wrote a temporary file, in its name
PART = re.compile(r"[.][0-9a-f]+-[0-9]+-[0-9a-f]+[.]part")


# --- kill: one command at a time -----------------------------------------------------------------


@dataclass
class Usual:
    """How a stage goes undisturbed: measured once, by doing it."""

    _seconds: dict[str, float] = field(default_factory=dict)
    _points: dict[str, list[str]] = field(default_factory=dict)

    def of(self, name: str, place: Place) -> tuple[float, list[str]]:
        """Duration and writes of the stage of this name, undisturbed, as done in ``place``, which is
        left as it was.

        Raises:
            AssertionError: if even so the results are others: then no comparison means anything.
        """
        if name not in self._seconds:
            stage = STAGES[name]
            control = place.copy(place.folder.with_name("control"), stage.command)
            control.delete(stage.makes)
            control.set_aside(stage.exports)
            ended = control.run(stage.command)
            assert ended.status == 0, ended.output
            control.bring_back(place.folder)
            found = differences(control.folder, place.folder)
            assert not found, f"{name}, undisturbed: {found}"
            self._seconds[name], self._points[name] = ended.seconds, control.points()
            control.remove()
        return self._seconds[name], self._points[name]


USUAL = Usual()
#: the classifier takes ten times as long as the others together: it is killed once, and that is all
QUICK = [name for name in STAGES if name != "classifier"]


def _struck(place: Place, name: str, number: int, seed: int, by_point: bool) -> tuple[str, bool]:
    """Start a stage and kill it, at a random moment or just before a random write; what was done,
    and whether it struck."""
    stage, chance = STAGES[name], random.Random(seed)
    seconds, points = USUAL.of(name, Place(place.folder.with_name("reference")))
    signal_name = signal.Signals(number).name
    if by_point:
        at = chance.randint(1, len(points))
        where = points[at - 1].replace(f"{place.folder.with_name('control')}/", "")
        ended = place.run(stage.command, at)
        what = f"{signal_name} before write {at} of {len(points)}: {_short(where)}"
        return what, ended.status == -number
    share = chance.uniform(0.3, 0.95)
    for _ in range(3):
        running = place.start(stage.command)
        time.sleep(share * seconds)
        hit = running.runs
        if hit:
            os.killpg(running.pid, number)
        running.end()
        if hit:
            break
        place.delete(stage.makes)
        place.set_aside(stage.exports)
        share *= 0.7
    return f"{signal_name} after {share:.0%} of its time", hit


def _short(what: str) -> str:
    """A write without folders and process numbers."""
    action, _, path = what.partition(" ")
    return f"{action} {PART.sub('.part', Path(path).name)}"


def _kill(name: str, number: int, seed: int, by_point: bool) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        stage = STAGES[name]
        Place(reference).copy(place.folder, stage.command)
        place.delete(stage.makes)
        place.set_aside(stage.exports)
        what, hit = _struck(place, name, number, seed, by_point)
        return Outcome(what, hit, *_again(place, reference, stage.command))

    return do


def kill_cases() -> Iterator[Case]:
    """Every stage: SIGKILL and SIGTERM at a moment, SIGKILL before a write."""
    for position, name in enumerate(STAGES):
        plans = [(signal.SIGKILL, False), (signal.SIGTERM, False)]
        plans += [(signal.SIGKILL, True)]
        plans = plans[-1:] if name == "classifier" else plans
        for i, (number, by_point) in enumerate(plans):
            do = _kill(name, number, 100 * position + i, by_point)
            yield Case(f"kill-{name}-{i}", "kill a job", STAGES[name].name, do)


# --- workflow: Snakemake, its jobs, all of them --------------------------------------------------

#: what a workflow makes again in these cases: a run and what rests on it, up to a figure and the summary
REMADE = (
    *(f"{RUNS}/vae", f"{LINKS}/vae", "results/faults/tables/loglik.*"),
    *("results/faults/tables/active_units.*", "results/faults/tables/claims.*"),
    *("results/faults/figures/ladder_loglik.*", "results/faults/summary.txt"),
)
TARGETS = ("results/faults/summary.txt", "results/faults/figures/ladder_loglik.png")
#: the same in packs
REMADE_PACKS = (
    *("results/faults-packs/packs", "results/faults-packs/work", "results/faults-packs/runs"),
)
TARGETS_PACKS = tuple(
    f"results/faults-packs/runs/mnist5k/{run}/evaluation.h5"
    for run in ("vae/depth2/seed0", "vae/depth2/seed1", VQ)
)
LAST = ("results/faults/report.html", "results/faults/ro-crate-metadata.json")


@dataclass(frozen=True)
class Workflow:
    """A workflow that is started and disturbed: what it makes again, and how long that takes."""

    remade: tuple[str, ...]
    command: tuple[str, ...]
    seconds: float


WORKFLOWS = {
    "runs": Workflow(REMADE, tuple(snakemake(*TARGETS)), 30),
    "packs": Workflow(REMADE_PACKS, tuple(snakemake(*TARGETS_PACKS, profile="faults-packs")), 30),
    "last": Workflow(LAST, tuple(snakemake(*LAST)), 12),
}
_workflow_seconds: dict[str, float] = {}


def _usual_seconds(name: str, reference: Path) -> float:
    """How long this workflow takes undisturbed; its results are compared too."""
    if name not in _workflow_seconds:
        workflow = WORKFLOWS[name]
        control = Place(reference).copy(reference.with_name("control"))
        control.delete(workflow.remade)
        ended = control.run(workflow.command)
        assert ended.status == 0, ended.output
        found = differences(control.folder, reference)
        assert not found, f"{name}, undisturbed: {found}"
        _workflow_seconds[name] = ended.seconds
        control.remove()
    return _workflow_seconds[name]


def _jobs(group: int) -> dict[int, str]:
    """The processes of a process group that do a rule's work: number -> verb."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_text().split("\0")
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and words[1:3] == ["-m", "rungs"]:
            found[int(path.name)] = words[3]
    return found


def _interrupt(
    place: Place, workflow: str, whom: str, number: int, seconds: float
) -> tuple[str, bool, Ended, set[int]]:
    """Start a workflow, wait, and send a signal to a job of it, to Snakemake, or to all; what was
    done, whether it struck, how the workflow ended, and what still runs."""
    running = place.start(WORKFLOWS[workflow].command)
    time.sleep(seconds)
    while whom == "job" and not _jobs(running.pid) and running.runs:
        time.sleep(0.01)
    jobs = _jobs(running.pid)
    hit = running.runs
    if hit and whom == "job":
        os.kill(min(jobs), number)
    elif hit and whom == "Snakemake":
        os.kill(running.pid, number)
    elif hit:
        os.killpg(running.pid, number)
    ended = running.end()
    verbs = ", ".join(sorted(set(jobs.values()))) or "no job"
    what = f"{signal.Signals(number).name} to {whom} during {verbs}"
    return what, hit, ended, set(_jobs(running.pid))


def _workflow(
    workflow: str, whom: str, number: int, seed: int, patient: bool = True
) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        usual = _usual_seconds(workflow, reference)
        Place(reference).copy(place.folder)
        place.delete(WORKFLOWS[workflow].remade)
        moment = random.Random(seed).uniform(0.2, 0.9) * usual
        what, hit, _, left = _interrupt(place, workflow, whom, number, moment)
        if left:
            what += f", {len(left)} jobs went on"
            what += "" if patient else "; started again at once"
        for job in left if patient else ():
            _wait_for(job)
        survived, remarks = _again(place, reference, WORKFLOWS[workflow].command)
        return Outcome(what, hit, survived, remarks)

    return do


def workflow_cases() -> Iterator[Case]:
    """A job, Snakemake or everything is killed while a workflow runs."""
    plans = [
        (workflow, whom, number, True)
        for workflow in ("runs", "packs")
        for whom in ("job", "Snakemake", "everything")
        for number in (signal.SIGKILL, signal.SIGTERM)
    ]
    plans += [(name, "Snakemake", signal.SIGKILL, False) for name in ("runs", "packs")]
    plans += [("last", "everything", signal.SIGKILL, True)]
    for i, (workflow, whom, number, patient) in enumerate(plans):
        do = _workflow(workflow, whom, number, 1000 + i, patient)
        yield Case(f"workflow-{i}", f"kill a workflow: {whom}", "whole workflow", do)


# --- full: no space is left ----------------------------------------------------------------------


@contextmanager
def _small_disk(folder: Path) -> Iterator[Callable[[int | None], bool]]:
    """A tmpfs at ``folder`` and a function that limits what is left in it to so many bytes, or takes the
    limit away; False where this user may not mount, and files have to be limited instead."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1g", "faults", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def limit(free: int | None) -> bool:
        if mounted:
            used = shutil.disk_usage(folder).used
            size = "1g" if free is None else f"{-(-(used + free) // 4096) * 4}k"
            again = ["mount", "-o", f"remount,size={size}", str(folder)]
            subprocess.run(again, capture_output=True, check=True)
        return mounted

    try:
        yield limit
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)


def _limit_files(size: int) -> Callable[[], None]:
    """What a process does at its start so that it cannot write a larger file."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def _made(reference: Path, stage: Stage) -> int:
    """Bytes of the largest file that a stage makes."""
    paths = [p for pattern in stage.makes for p in reference.glob(pattern)]
    paths += [inner for path in paths for inner in path.rglob("*")]
    return max(p.stat().st_size for p in paths if p.is_file())


def _full(name: str, share: float) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        stage = STAGES[name]
        free = round(share * _made(reference, stage))
        with _small_disk(place.folder) as limit:
            Place(reference).copy(place.folder, stage.command)
            place.delete(stage.makes)
            place.set_aside(stage.exports)
            if limit(free):
                what = f"tmpfs with {free} bytes left"
                first = place.run(stage.command)
            else:
                what = f"RLIMIT_FSIZE of {free} bytes"
                first = place.run(stage.command, preexec_fn=_limit_files(free))
            limit(None)
            return Outcome(what, first.status != 0, *_told(place, reference, stage, first))

    return do


def _told(place: Place, reference: Path, stage: Stage, first: Ended) -> tuple[bool, str]:
    """Of a command that could not write: whether it said so, and whether the next one completes."""
    survived, remarks = _again(place, reference, stage.command)
    if first.status != 0 and not first.told:
        words = _last_words(first.output)
        return False, "; ".join(filter(None, [f"does not say what to do: {words}", remarks]))
    said = f"said: {_last_words(first.output)}" if first.status != 0 else ""
    return survived, "; ".join(filter(None, [remarks, said]))


def full_cases() -> Iterator[Case]:
    """Every stage: no byte is left, or half of what its largest file takes."""
    for name in QUICK:
        for i, share in enumerate((0.0, 0.5)):
            if i and name not in ("prepare", "train", "pack-train", "prior", "merge", "figure"):
                continue
            do = _full(name, share)
            yield Case(f"full-{name}-{i}", "disk full", STAGES[name].name, do)


# --- read-only: folders that cannot be written ---------------------------------------------------


@contextmanager
def _read_only(folder: Path) -> Iterator[str]:
    """The folder, read-only: by a mount where this user may, else by its permissions, which hold
    anyone but root; how it was done."""
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, capture_output=True, check=False).returncode == 0:
        again = ["mount", "-o", "remount,ro,bind", str(folder)]
        subprocess.run(again, capture_output=True, check=True)
        try:
            yield "read-only mount"
        finally:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)
        return
    folders = [folder, *(p for p in folder.rglob("*") if p.is_dir())]
    modes = [p.stat().st_mode for p in folders]
    for path in folders:
        path.chmod(0o555)
    try:
        yield "permissions"
    finally:
        for path, mode in zip(folders, modes, strict=True):
            path.chmod(mode)


def _closed(name: str) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        stage = STAGES[name]
        Place(reference).copy(place.folder, stage.command)
        made = [p for pattern in stage.makes for p in place.folder.glob(pattern)]
        folder = made[0].parent
        place.delete(stage.makes)
        place.set_aside(stage.exports)
        with _read_only(folder) as how:
            first = place.run(stage.command)
        what = f"{folder.relative_to(place.folder)} read-only ({how})"
        return Outcome(what, first.status != 0, *_told(place, reference, stage, first))

    return do


def read_only_cases() -> Iterator[Case]:
    """Every stage: the folder that it writes into is read-only."""
    for name in QUICK:
        yield Case(f"closed-{name}", "read-only folder", STAGES[name].name, _closed(name))


# --- power: what was written but not synced is lost -----------------------------------------------


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns


def everything(folder: Path) -> dict[Path, tuple[int, int]]:
    """Results and Snakemake's own files: inode and time of the last change."""
    tops = (folder / "results", folder / ".snakemake")
    paths = (p for top in tops for p in top.rglob("*") if p.is_file() and not p.is_symlink())
    return {p: _identity(p) for p in paths}


def cut_power(
    place: Place, before: dict[Path, tuple[int, int]], chance: random.Random
) -> list[str]:
    """Do to the folder what a power cut may do to it: of a file that was changed and not synced since,
    all, the end, or everything but the length is lost; a rename whose folder was not synced since
    has not happened. What was done, by name."""
    notes = [line.split("\t") for line in place.notes.read_text().splitlines()]
    synced = {(int(n[1]), int(n[2])) for n in notes if n[0] == "sync"}
    done = []
    for i, note in enumerate(notes):
        if note[0] != "rename":
            continue
        old, new = Path(note[1]), Path(note[2])
        durable = any(n[0] == "folder" and n[1] == str(new.parent) for n in notes[i:])
        if not durable and new not in before and new.exists() and not old.exists():
            new.rename(old)
            done.append(f"{new.name} not renamed")
    for path, identity in everything(place.folder).items():
        if identity in synced or before.get(path) == identity:
            continue
        size = path.stat().st_size
        way = chance.choice(("gone", "empty", "half", "zeros"))
        if way == "gone":
            path.unlink()
        else:
            kept = path.read_bytes()[: size // 2] if way == "half" else b""
            path.write_bytes(bytes(size) if way == "zeros" else kept)
        done.append(f"{path.name} {way}")
    return done


def _power(name: str, seed: int) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        stage = STAGES[name]
        Place(reference).copy(place.folder, stage.command)
        place.delete(stage.makes)
        place.set_aside(stage.exports)
        before = everything(place.folder)
        what, hit = _struck(place, name, signal.SIGKILL, seed, by_point=True)
        lost = cut_power(place, before, random.Random(seed))
        what = f"{what}; then {_list(lost)}"
        return Outcome(what, hit, *_again(place, reference, stage.command))

    return do


def _list(lost: list[str]) -> str:
    named = ", ".join(PART.sub(".part", name) for name in lost[:4])
    return (named or "nothing unsynced") + (f" and {len(lost) - 4} more" if len(lost) > 4 else "")


def _power_workflow(workflow: str, seed: int) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        usual = _usual_seconds(workflow, reference)
        Place(reference).copy(place.folder)
        place.delete(WORKFLOWS[workflow].remade)
        before, chance = everything(place.folder), random.Random(seed)
        moment = chance.uniform(0.3, 0.95) * usual
        what, hit, _, _ = _interrupt(place, workflow, "everything", signal.SIGKILL, moment)
        lost = cut_power(place, before, chance)
        what = f"{what}; then {_list(lost)}"
        return Outcome(what, hit, *_again(place, reference, WORKFLOWS[workflow].command))

    return do


def power_cases() -> Iterator[Case]:
    """Every stage, and whole workflows: everything ends at a random write, and what was not synced is
    lost."""
    for position, name in enumerate(QUICK):
        do = _power(name, 5000 + position)
        yield Case(f"power-{name}", "power cut", STAGES[name].name, do)
    for i, workflow in enumerate(("runs", "packs", "last")):
        do = _power_workflow(workflow, 6000 + i)
        yield Case(f"power-workflow-{i}", "power cut", "whole workflow", do)


# --- damage: results that were complete and are not any more ---------------------------------------

#: damaged file -> the verb that reads it, the workflow's targets, and the profile
DAMAGED = {
    "results/data/mnist5k.h5": (("train", f"mnist5k/{LADDER}"), "faults", "data"),
    "results/data/mnist5k-classifier.safetensors": (
        ("evaluate", "mnist5k/gauss/latent2/seed0"),
        "faults",
        "data",
    ),
    f"{RUNS}/{LADDER}/weights.safetensors": (
        ("evaluate", f"mnist5k/{LADDER}"),
        "faults",
        "train, one run",
    ),
    f"{RUNS}/{LADDER}/training.h5": (("table", "loglik"), "faults", "train, one run"),
    f"{RUNS}/{VQ}/prior/weights.safetensors": (
        ("evaluate", f"mnist5k/{VQ}"),
        "faults",
        "train, VQ and its prior",
    ),
    f"{RUNS}/{LADDER}/likelihood-1of2.h5": (
        ("evaluate", f"mnist5k/{LADDER}"),
        "faults",
        "evaluate, shards and merge",
    ),
    f"{RUNS}/{LADDER}/evaluation.h5": (
        ("figure", "ladder_loglik"),
        "faults",
        "evaluate, shards and merge",
    ),
    "results/faults/calibration.h5": (
        ("figure", "likelihood_calibration"),
        "faults",
        "calibration",
    ),
    "results/faults/tables/loglik.csv": (("summary",), "faults", "tables"),
    "results/faults/tables/claims.csv": (("scorecard",), "faults", "tables"),
    # not of a run that was trained side by side with another: trained again alone, it has other roundings
    f"{WORK}/{VQ}/weights.safetensors": (
        ("pack", "evaluate", "mnist5k.vq.0.0000"),
        "faults-packs",
        "train, pack and ensemble",
    ),
}
#: files that a verb reads only where what it would make is not there already
READERS = {
    "evaluate": (
        *STAGES["merge"].makes,
        "results/faults/*/mnist5k/gauss/latent2/seed0/evaluation*",
        f"results/faults/*/mnist5k/{VQ}/evaluation*",
    ),
    "train": STAGES["train"].makes,
    "pack": (f"results/faults-packs/*/mnist5k/{VQ}/evaluation*",),
    "table": STAGES["table"].makes,
    "figure": (),
    "summary": STAGES["summary"].makes,
    "scorecard": STAGES["scorecard"].makes,
}


def _damage(name: str, way: str) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        verb, profile, _ = DAMAGED[name]
        Place(reference).copy(place.folder)
        place.delete(READERS[verb[0]])
        path = place.folder / name
        content, when = path.read_bytes(), path.stat()
        changed = {
            "truncated": content[: len(content) // 2],
            "zeroed": bytes(len(content)),
            "empty": b"",
        }[way]
        exported = place.folder / name.replace("/work/", "/runs/")
        for copy in {path, exported}:  # which are one file, as a rule
            copy.write_bytes(changed)
            os.utime(copy, ns=(when.st_atime_ns, when.st_mtime_ns))
        first = place.run(rungs(*verb, profile=profile))
        # a run of a pack fails alone: the pack records it, and ends well
        recorded = any((place.folder / "results").rglob("*-failure.txt"))
        if first.status == 0 and not recorded:
            found = differences(place.folder, reference)
            noticed = "the damage was not noticed" if found else "mended by itself"
            return Outcome(way, True, not found, noticed)
        if not first.told and not recorded:
            return Outcome(
                way, True, False, f"does not say what to do: {_last_words(first.output)}"
            )
        advice = _follow(place, first.output)
        if advice is None:
            return Outcome(way, True, False, f"no advice that helps: {_last_words(first.output)}")
        missing = files(reference).keys() - files(place.folder).keys()
        targets = sorted(t for t in missing if "/work/" not in t and not t.endswith(".log"))
        survived, remarks = _again(place, reference, snakemake(*targets, profile=profile))
        return Outcome(way, True, survived, "; ".join(filter(None, [advice, remarks])))

    return do


def damage_cases() -> Iterator[Case]:
    """A file that was complete is truncated, zeroed or empty: whoever reads it says so, and what the
    message says helps."""
    for i, (name, (_, _, stage)) in enumerate(DAMAGED.items()):
        way = ("truncated", "zeroed", "empty")[i % 3]
        yield Case(f"damage-{i}", "damaged file", stage, _damage(name, way))


# --- two: two workflows, or two commands, in one folder --------------------------------------------


def _two(
    first: Sequence[str], second: Sequence[str], after: float, remade: tuple[str, ...]
) -> Callable[[Place, Path], Outcome]:
    def do(place: Place, reference: Path) -> Outcome:
        Place(reference).copy(place.folder, second)
        place.delete(remade)
        one = place.start(first)
        time.sleep(after)
        two = place.start(second)
        ended = [one.end(), two.end()]
        refused = [e for e in ended if e.status != 0]
        what = f"the second {after:g} s after the first"
        for each in refused:
            if not each.told or not re.search(r"--unlock|being written by process", each.output):
                words = _last_words(each.output)
                return Outcome(what, True, False, f"does not say what to do: {words}")
        remarks = f"{len(refused)} refused, saying why" if refused else "both ended well"
        # who was refused comes again when the other has ended
        survived, more = _again(place, reference, second)
        return Outcome(what, True, survived, "; ".join(filter(None, [remarks, more])))

    return do


def two_cases() -> Iterator[Case]:
    """Two workflows in one folder, a command beside a workflow, two equal commands."""
    runs, train = WORKFLOWS["runs"], STAGES["train"]
    beside = tuple(rungs("train", "mnist5k/vae/depth2/seed0"))
    plans = [
        (runs.command, runs.command, 8.0, runs.remade),
        (runs.command, runs.command, 0.0, runs.remade),
        (beside, runs.command, 0.0, runs.remade),
        (train.command, train.command, 0.0, train.makes),
        (train.command, train.command, 1.0, train.makes),
        (STAGES["prepare"].command, STAGES["prepare"].command, 0.0, STAGES["prepare"].makes),
        (STAGES["merge"].command, STAGES["merge"].command, 0.0, STAGES["merge"].makes),
        (
            STAGES["pack-train"].command,
            STAGES["pack-train"].command,
            0.5,
            STAGES["pack-train"].makes,
        ),
    ]
    for i, plan in enumerate(plans):
        stage = "whole workflow" if "snakemake" in plan[1] else _stage_of(plan[1])
        yield Case(f"two-{i}", "two at once", stage, _two(*plan))


def _stage_of(command: Sequence[str]) -> str:
    return next(stage.name for stage in STAGES.values() if stage.command == tuple(command))


#: name on the command line -> its cases
KINDS: dict[str, Callable[[], Iterator[Case]]] = {
    "kill": kill_cases,
    "full": full_cases,
    "read-only": read_only_cases,
    "power": power_cases,
    "damage": damage_cases,
    "two": two_cases,
    "workflow": workflow_cases,
}
