"""Packs: many runs in one job.

A cluster should see tens of jobs of an hour, not thousands of a minute. A pack is a list of runs
that one job works through, one after the other, in a working folder that all packs share; a cheap
job a run then exports its files. So every run stays a target of its own, a lost file needs only
the copy, and an added run does the others no harm, even where it shifts them to other packs: what
is complete with the same settings and the same code is not done again.
"""

from __future__ import annotations

import json

from rungs.study.layers import Config
from rungs.study.runs import Run, all_runs
from rungs.study.settings import resolve


def packs(config: Config) -> dict[str, list[Run]]:
    """Name of each pack -> its runs, at most ``compute.pack`` of them.

    A pack has runs of one data set, one model and one generation (how many times the run has
    been continued: a run must not wait for another of its own pack); runs that share an
    architecture stand together.
    """
    groups: dict[tuple[str, str, int], list[tuple[str, Run]]] = {}
    for run in all_runs(config):
        settings = resolve(config, run)
        generation = 0
        ancestor = settings["continues"]
        while ancestor is not None:
            generation, ancestor = generation + 1, ancestor["continues"]
        architecture = json.dumps([settings["depth"], settings["network"]], sort_keys=True)
        group = groups.setdefault((run.dataset, settings["model"], generation), [])
        group.append((architecture, run))
    found = {}
    size = config["compute"]["pack"]
    for (dataset, model, generation), members in groups.items():
        ordered = [run for _, run in sorted(members)]
        for number, start in enumerate(range(0, len(ordered), size)):
            # names of data sets and models have no dot: no two packs share a name
            name = f"{dataset}.{model}.{generation}.{number:04d}"
            found[name] = ordered[start : start + size]
    return found
