"""What differs between each run of a profile and the published protocol, as a page.

The published settings are in ``resources/protocols.yaml``, each with its source. They are compared with the
settings that a run resolves to, so the page says how a run is trained, and not what somebody wrote about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rungs.data import catalogue
from rungs.models import entry, load_object
from rungs.paths import ROOT
from rungs.study.layers import Config, read_file
from rungs.study.runs import Run, runs
from rungs.study.settings import evaluation_settings, resolve, sizes

FILE = ROOT / "resources" / "protocols.yaml"
#: settings that are lists with one entry for each layer
LAYERED = ("network.latent_sizes", "network.hidden_sizes")
#: the value of a setting that a run's model does not have
ABSENT = object()
HEAD = """# What differs from the published protocols

Made by `rungs protocol`, not by hand, for the {count} runs of the profile `{profile}`. The settings that each
run resolves to are compared with the published ones in [`resources/protocols.yaml`](../resources/README.md).
Settings are named by their key in `config/common.yaml`, which describes them, and constants of the code by
module and name. An arrow leads from the published value to the one here.

- A run of several documents is compared with each of them.
- With `training.continuation` a run trains on after its schedule, by this share of its epochs. The weights at
  the end of the schedule are evaluated as well ([drift](claims.md#drift)).
- `training.annealing` is the last share of the schedule, over which the learning rate falls to 0.
- With `evaluation.refine_every` above 1, every n-th block of test images takes all k samples of L_k, and the
  others fewer ([L_k from fewer samples](trust.md#l_k-from-fewer-samples)).
- Where a paper and its release disagree, the arrow starts at the paper's value, and the other stands under
  *elsewhere*.
- With `precision` bfloat16, matrix products are rounded to it on processors where that is faster. A run says
  which arithmetic it had.
- *Not stated* means that what was read does not say it. A *recalled* value is quoted from memory of the paper
  and still has to be compared with it. [What was read](#what-was-read) is listed at the end.
"""


@dataclass(frozen=True)
class Difference:
    """A setting whose published value is not the one here."""

    setting: str
    published: Any
    here: Any

    def __str__(self) -> str:
        # runs of many sizes share a line, and their names have the size
        here = "the run's own" if self.setting == "size" else shown(self.here)
        return f"`{self.setting}` {shown(self.published)} → {here}"


@dataclass(frozen=True)
class Comparison:
    """A run beside a protocol of its document.

    Attributes:
        protocol: its name; empty where there is none, as for data and variants of one's own.
        facts: what the run is compared by, see :func:`facts`.
    """

    document: str
    protocol: str
    run: Run
    facts: Mapping[str, Any]
    differences: tuple[Difference, ...]


def protocols() -> dict[str, Config]:
    """Return the published protocols by name.

    ``settings`` of each is setting -> (value, source), with those of the protocol that it is like; ``own``
    is the same without them.
    """
    found: dict[str, Config] = {}
    for name, given in read_file(FILE)["protocols"].items():
        base = found.get(given.get("like"), {"settings": {}, "notes": [], "not_stated": []})
        own = {
            key: (value, by) for by, of in given["settings"].items() for key, value in of.items()
        }
        found[name] = base | {"elsewhere": {}} | given
        found[name] |= {"own": own, "settings": base["settings"] | own}
        found[name]["notes"] = base["notes"] + given.get("notes", [])
    return found


def published(protocol: Config, variant: str) -> Config:
    """Return the published settings of a variant: setting -> value."""
    shared = {setting: value for setting, (value, _) in protocol["settings"].items()}
    return shared | protocol["variants"][variant]


def facts(config: Config, run: Run) -> Config:
    """Return what a run is compared by: its settings, section by section, and what follows from them."""
    settings: Config = dict(resolve(config, run))
    data = catalogue(config)[run.dataset]
    training: Config = dict(settings["training"])
    training["steps"] = training["epochs"] * (data.train // training["batch_size"])
    if not training["warm_up"]:
        del training["warm_up_epochs"]
    evaluation: Config = dict(evaluation_settings(config, run))
    family = entry(settings["model"]).family
    likelihood = settings["network"].get("likelihood", family.likelihood)
    evaluation["images"] = min(evaluation["images"], data.test)
    if entry(settings["model"]).sampled:
        evaluation.setdefault("refine_every", 1)
    return settings | {
        "training": training,
        "evaluation": evaluation,
        "data": {"train": data.train, "test": data.test},
        "binarisation": "every epoch" if likelihood == "bernoulli" else "none",
        "optimiser": "Adam",
    }


def look_up(found: Mapping[str, Any], setting: str) -> Any:
    """Return a setting of a run, or a constant ``module:NAME``; :data:`ABSENT` where a model has none."""
    if ":" in setting:
        return load_object(setting)
    value: Any = found
    for part in setting.split("."):
        if part not in value:
            return ABSENT
        value = value[part]
    return value


def compare(config: Config) -> list[Comparison]:
    """Compare every run of a profile with a protocol of each document that it is of."""
    known = protocols()
    return [
        _compared(config, document, run, known)
        for document in config["experiments"]
        for run in runs(config, document)
    ]


def _compared(config: Config, document: str, run: Run, known: dict[str, Config]) -> Comparison:
    found = facts(config, run)
    for name, protocol in known.items():
        of_data = run.dataset in protocol.get("datasets", [run.dataset])
        if protocol["document"] == document and run.variant in protocol["variants"] and of_data:
            wanted = published(protocol, run.variant)
            return Comparison(document, name, run, found, tuple(_differences(wanted, found, run)))
    return Comparison(document, "", run, found, ())


def _differences(wanted: Config, found: Config, run: Run) -> Iterable[Difference]:
    for setting, value in wanted.items():
        here = look_up(found, setting)
        expected = sizes(value, run.depth) if setting in LAYERED else value
        if here not in [ABSENT, *_admissible(expected)]:
            yield Difference(setting, expected, here)


def _admissible(value: Any) -> list[Any]:
    if isinstance(value, Mapping) and "one_of" in value:
        return list(value["one_of"])
    return [value, tuple(value)] if isinstance(value, list) else [value]


def shown(value: Any) -> str:
    """Return a value as the page shows it.

    >>> shown(60000), shown(1e-4), shown([50]), shown(True), shown({"one_of": [1, 10]})
    ('60,000', '0.0001', '50', 'yes', '1 or 10')
    >>> shown({"number": 8, "growth": 3}), shown(None)
    ('number 8, growth 3', 'none')
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        if "one_of" in value:
            return " or ".join(map(shown, value["one_of"]))
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(shown, value))
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def page(config: Config) -> str:
    """Return the page of a profile, as Markdown."""
    found, known, sources = compare(config), protocols(), read_file(FILE)["sources"]
    parts = [HEAD.format(count=len(runs(config)), profile=config["profile"])]
    for name, protocol in known.items():
        if own := [each for each in found if each.protocol == name]:
            parts.append(f"\n## {protocol['title']}\n\n")
            parts += [*_differing(own), *_stated(protocol, own, known, sources)]
    if unknown := [each.run for each in found if not each.protocol]:
        parts.append(f"\n## Without a published protocol\n\n{named(unknown)}\n")
    parts.append("\n## What was read\n\n| source | read in | checked |\n| --- | --- | --- |\n")
    for source in sources.values():
        parts.append(f"| {source['cites']} | {source['how']} | {source['checked']} |\n")
    return "".join(parts)


def _differing(found: list[Comparison]) -> Iterable[str]:
    """Yield what differs in all runs of a protocol, then in which of them what else does."""
    texts = [[str(difference) for difference in each.differences] for each in found]
    common = [text for text in texts[0] if all(text in other for other in texts)]
    groups: dict[str, list[Run]] = {}
    for each, text in zip(found, texts, strict=True):
        rest = "; ".join(one for one in text if one not in common)
        groups.setdefault(rest, []).append(each.run)
    if common:
        yield f"In all runs: {'; '.join(common)}.\n\n"
    yield f"| runs | what {'else ' * bool(common)}differs |\n| --- | --- |\n"
    for rest, members in groups.items():
        yield f"| {named(members)} | {rest or 'nothing' + (' else' if common else ' that is stated')} |\n"


def _stated(
    protocol: Config, found: list[Comparison], known: dict[str, Config], sources: Config
) -> Iterable[str]:
    """Yield the published settings by source, what is not stated, and what no setting shows."""
    by_source: dict[str, list[str]] = {}
    for setting, (value, source) in protocol["own"].items():
        by_source.setdefault(source, []).append(f"`{setting}` {shown(value)}")
    makes: dict[str, list[str]] = {}
    for variant in dict.fromkeys(each.run.variant for each in found):
        own = protocol["variants"][variant].items()
        words = ", ".join(f"`{setting}` {shown(value)}" for setting, value in own)
        makes.setdefault(words, []).append(f"`{variant}`")
    for words in filter(None, makes):
        text = f"of {', '.join(makes[words])}: {words}"
        by_source.setdefault(protocol["variants_from"], []).append(text)
    yield "\n| source | published |\n| --- | --- |\n"
    for source, settings in by_source.items():
        cited = f"{sources[source]['cites']} ({sources[source]['checked']})"
        yield f"| {cited} | {'; '.join(settings)} |\n"
    if "like" in protocol:
        yield f"| otherwise | as under *{known[protocol['like']]['title']}* |\n"
    absent = "; ".join(_not_stated(setting, found) for setting in protocol["not_stated"])
    yield f"\nNot stated: {absent}.\n\n"
    yield from (f"- `{key}` elsewhere: {text}.\n" for key, text in protocol["elsewhere"].items())
    yield from (f"- {note}\n" for note in protocol["notes"])


def _not_stated(setting: str, found: list[Comparison]) -> str:
    """Return a setting with its values here, or words as they are."""
    if " " in setting:
        return setting
    values = [look_up(each.facts, setting) for each in found]
    known = [value for value in values if value is not ABSENT]
    if all(isinstance(value, int | float) for value in known):
        known.sort()
    return f"`{setting}` (here {' or '.join(dict.fromkeys(map(shown, known)))})"


def named(members: Iterable[Run]) -> str:
    """Return the names of runs, those of a variant together.

    >>> named([Run("mnist", "vae", depth, seed) for depth in (2, 5) for seed in (0, 1)])
    '`mnist/vae` depth 2, 5 (seeds 0, 1)'
    """
    seeds: dict[tuple[str, str, int], list[int]] = {}
    for run in members:
        seeds.setdefault((f"{run.dataset}/{run.variant}", run.axis, run.size), []).append(run.seed)
    of: dict[tuple[str, str, str], list[int]] = {}
    for (name, axis, size), found in sorted(seeds.items(), key=lambda item: item[0][2]):
        words = f"seed{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"
        of.setdefault((name, axis, words), []).append(size)
    return "; ".join(
        f"`{name}` {axis} {', '.join(map(str, found))} ({words})"
        for (name, axis, words), found in of.items()
    )


def as_json(config: Config) -> list[dict[str, Any]]:
    """Return what differs of every run, for scripts."""
    return [
        {
            "run": each.run.path,
            "document": each.document,
            "protocol": each.protocol or None,
            "differences": {
                one.setting: {"published": one.published, "here": one.here}
                for one in each.differences
            },
        }
        for each in compare(config)
    ]
