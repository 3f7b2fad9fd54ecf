"""Disturb the real workflow and count what survives: ``python tests/faults [KIND or CASE]...``.

A folder (``--folder``) keeps the undisturbed results and what is done so far, so that a count that was
stopped goes on where it stopped. Root can mount small and read-only file systems; anyone else gets
limits on file sizes and permissions in their place. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import warm
from kinds import KINDS, TARGETS_PACKS, Case, Outcome
from place import HERE, ROOT, Place, snakemake

#: the undisturbed workflow may take that long
HOUR = 3600
COLUMNS = ("case", "kind", "stage", "fault", "result", "remarks", "seconds")


def undisturbed(folder: Path) -> Place:
    """The folder in which everything has run undisturbed; made once."""
    place, done = Place(folder / "reference"), folder / "reference.done"
    if not done.exists():
        if not place.folder.exists():
            place.make()
        for command in (
            snakemake("all"),
            snakemake(*TARGETS_PACKS, profile="faults-packs"),
        ):
            ended = place.start(command).end(limit=HOUR)
            if ended.status != 0:
                sys.exit(f"the undisturbed workflow fails:\n{ended.output}")
        done.write_text("")
    return place


def result_of(outcome: Outcome) -> str:
    """A word for the count."""
    if not outcome.hit:
        return "missed" if outcome.survived else "lost"
    return "survived" if outcome.survived else "lost"


def do(case: Case, folder: Path, reference: Path) -> dict[str, str]:
    """Do a case in a folder of its own, and take that away unless something was lost."""
    place = Place(folder / "case")
    place.remove()
    began = time.monotonic()
    outcome = case.do(place, reference)
    result = result_of(outcome)
    if result == "lost":
        kept = folder / "lost" / case.name
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(exist_ok=True)
        if place.folder.exists():
            place.copy(kept)
    place.remove()
    return {
        "case": case.name,
        "kind": case.kind,
        "stage": case.stage,
        "fault": outcome.what,
        "result": result,
        "remarks": outcome.remarks,
        "seconds": f"{time.monotonic() - began:.0f}",
    }


def read(path: Path) -> dict[str, dict[str, str]]:
    """The cases that were done."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def to_markdown(rows: Sequence[dict[str, str]]) -> str:
    """Faults by kind and stage: tried, survived, lost."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["result"] != "missed":
            groups.setdefault((row["kind"], row["stage"]), []).append(row["result"])
    lines = ["| fault | stage | tried | survived | lost |", "| --- | --- | --- | --- | --- |"]
    for (kind, stage), results in sorted(groups.items()):
        lost = results.count("lost")
        lines.append(f"| {kind} | {stage} | {len(results)} | {len(results) - lost} | {lost} |")
    every = [result for results in groups.values() for result in results]
    lost = every.count("lost")
    lines.append(f"| all | | {len(every)} | {len(every) - lost} | {lost} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Do the cases that are asked for and not done yet; end with status 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"kinds ({', '.join(KINDS)}) or beginnings of cases"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "results" / "fault-tests")
    parser.add_argument("--again", action="store_true", help="do cases that were done too")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    reference = undisturbed(folder)
    warm.load(reference.folder / "src", HERE / "hook")
    table = folder / "faults.csv"
    done = read(table)
    cases = [case for kind in KINDS.values() for case in kind()]
    wanted = [
        case
        for name in options.names or KINDS
        for case in (KINDS[name]() if name in KINDS else cases)
        if name in KINDS or case.name.startswith(name)
    ]
    chosen = list({case.name: case for case in wanted}.values())
    for case in chosen:
        if case.name in done and not options.again:
            continue
        row = do(case, folder, reference.folder)
        done[case.name] = row
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(done[c.name] for c in cases if c.name in done)
        print(" · ".join(row[c] for c in COLUMNS if row[c]), flush=True)
    rows = [done[case.name] for case in chosen]
    text = to_markdown(rows)
    (folder / "faults.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{table}")
    missed = sum(row["result"] == "missed" for row in rows)
    if missed:
        print(f"{missed} commands had ended before the fault struck; they are not counted")
    sys.exit(any(row["result"] == "lost" for row in rows))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
