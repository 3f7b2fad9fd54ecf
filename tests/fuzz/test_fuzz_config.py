"""Configurations of every kind of wrongness: refused in one line that names key or file, or valid."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import cases, limited, told
from rungs.data import catalogue
from rungs.errors import ConfigError, RungsError
from rungs.jobs.cost import summarise
from rungs.jobs.packs import packs
from rungs.models import outline
from rungs.paths import ROOT
from rungs.storage.untrusted import MOST_LEVELS, MOST_VALUES
from rungs.study import profile as configuration
from rungs.study.layers import Config, read_file
from rungs.study.runs import Run, runs
from rungs.study.settings import evaluation_settings, resolve
from rungs.study.validation import validate

PROFILES = ("smoke", "quick", "paper", "gallery-vq", "gallery-mixture")
BASES = {name: configuration.layer([ROOT / "config" / f"{name}.yaml"]) for name in PROFILES}
#: texts that are no names: paths, shell, control characters, what YAML and Python might run
HOSTILE = [
    *("", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "a/../../b", "~root", "a\0b", "a\nb"),
    *("quick\n", "\n", "a;rm -rf /", "$(id)", "`id`", "a b", "-rf", "--help", "*", "{wildcards}"),
    *(
        "{config}",
        "%s%n",
        "a" * 65,
        "a" * 5000,
        "é",
        "\u202etxt",
        "\ud800",
        "\x1b[2J",
        "CON",
        "null",
    ),
    *("mnist5k-classifier", "__class__", "!!python/object/apply:os.system", "<<", "vae|.*", "(?R)"),
]
NUMBERS = [
    *(0, -1, 1, 2, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 0.0, -0.0, 0.5, 1.0, 3.0, 1e-320),
    *(1e308, -1e308, float("nan"), float("inf"), float("-inf"), 65536, 65537, True, False),
]
scalars = st.one_of(
    st.none(),
    st.sampled_from(NUMBERS),
    st.sampled_from(HOSTILE),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["vae", "lvae-bn-wu", "vq", "mnist5k", "cifar10", "mu", "gradient"]),
)
keys = st.one_of(
    st.sampled_from(HOSTILE), st.sampled_from(["epochs", "vae", "model", "images", "depths"])
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(keys, scalars), inner, max_size=4)
    ),
    max_leaves=12,
)


def places(config: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path of keys and indices below a configuration."""
    found = [here] if here else []
    if isinstance(config, dict | list):
        for key in config if isinstance(config, dict) else range(len(config)):
            found += places(config[key], (*here, key))
    return found


PLACES = {name: places(config) for name, config in BASES.items()}


def mutated(name: str, data: st.DataObject) -> Config:
    """A profile with one to three of its values replaced, removed, renamed or doubled."""
    config: Any = copy.deepcopy(BASES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(PLACES[name]))
        here = config
        try:
            for key in parents:
                here = here[key]
            match data.draw(st.sampled_from(["replace", "replace", "remove", "rename", "double"])):
                case "replace":
                    here[last] = data.draw(values)
                case "remove":
                    del here[last]
                case "rename" if isinstance(here, dict):
                    here[data.draw(st.one_of(keys, scalars))] = here.pop(last)
                case "double" if isinstance(here[last], list):
                    here[last] = here[last] * 2
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return dict(config)


def use(config: Config) -> int:
    """What every start of the workflow does with a valid configuration."""
    validate(config)
    config = configuration.with_own_data(config)
    found = runs(config)
    shapes = catalogue(config)
    for number, run in enumerate({(r.variant, r.axis): r for r in found}.values()):
        assert Run.parse(run.path) == run
        settings = resolve(config, run)
        evaluation_settings(config, run)
        json.dumps(settings, allow_nan=False)
        if number < 5:
            outline(settings["model"], math.prod(shapes[run.dataset].shape), settings["network"])
    if len(found) < 200:
        packs(config)
        summarise(config)
    assert len({run.path for run in found}) == len(found)
    return len(found)


@cases(2)
@given(data=st.data())
def test_mutated_profiles(data: st.DataObject) -> None:
    config = mutated(data.draw(st.sampled_from(PROFILES)), data)
    told("configuration", ["configuration", "run ", "variants", "experiments"], lambda: use(config))


@cases(2)
@given(data=st.data())
def test_mutated_files(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Written as YAML or JSON and read again: what was refused before is refused, and a valid one
    comes back as it was."""
    config = mutated(data.draw(st.sampled_from(PROFILES)), data)
    path = tmp_path_factory.mktemp("c") / data.draw(st.sampled_from(["mine.yaml", "mine.json"]))
    try:
        if path.suffix == ".json":
            path.write_text(json.dumps(config), encoding="utf-8")
        else:
            path.write_text(yaml.dump(config, allow_unicode=True), encoding="utf-8")
    except (UnicodeEncodeError, TypeError, ValueError, yaml.YAMLError):
        return  # no such file can be written
    names = [path.name, "configuration", "run "]
    read = told("configuration file", names, lambda: read_file(path))
    if read is None:
        return
    told("configuration file", names, lambda: configuration.load([path]))


@cases(2)
@given(
    name=st.sampled_from(PROFILES),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    inserted=st.one_of(
        st.sampled_from(
            [
                *(
                    "[",
                    "]",
                    "{",
                    "}",
                    "&a ",
                    "*a",
                    "<<: *a",
                    "- ",
                    "? ",
                    "|",
                    ">",
                    "%YAML 9",
                    "---",
                ),
                *(
                    "...",
                    "\t",
                    "!!python/object:os.system ",
                    "!!binary |",
                    "!!float nan",
                    "!x",
                    "\0",
                ),
            ]
        ).map(str.encode),
        st.binary(max_size=8),
    ),
)
def test_damaged_files(
    name: str,
    changes: list[tuple[int, int]],
    inserted: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = bytearray((ROOT / "config" / f"{name}.yaml").read_bytes())
    for place, value in changes[1:]:
        content[place % len(content)] = value
    place = changes[0][0] % len(content)
    content[place:place] = inserted
    path = tmp_path_factory.mktemp("c") / "damaged.yaml"
    path.write_bytes(content)
    told(
        "damaged configuration",
        [path.name, "configuration", "run ", "experiments"],
        lambda: use(configuration.layer([path])),
    )


def laughs(opening: str, levels: int) -> str:
    """Every line names the one before it nine times."""
    brackets = {"[": "[{}]", "{": "{{{}}}"}[opening]
    part = {"[": "*{0}", "{": "k{1}: *{0}"}[opening]
    lines = [f"a0: &a0 {brackets.format('x' if opening == '[' else 'x: 1')}"]
    for i in range(1, levels):
        inner = ", ".join(part.format(f"a{i - 1}", n) for n in range(9))
        lines.append(f"a{i}: &a{i} {brackets.format(inner)}")
    return "\n".join([*lines, f"profile: *a{levels - 1}"])


FILES: dict[str, str | bytes] = {
    "deep lists": "a: " + "[" * 100_000,
    "deep mappings": "a: " + "{a: " * 100_000,
    "deep keys": "? " * 100_000,
    "deep dashes": "- " * 100_000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(3000)),
    "billion laughs": laughs("[", 12),
    "billion laughs of mappings": laughs("{", 12),
    "merged laughs": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)),
    "itself": "profile: &a [*a]",
    "itself as a mapping": "network: &a {vq: *a}",
    "key of a list": "? [a, b]\n: 1",
    "key of a mapping": "? {a: b}\n: 1",
    "key of a date": "profile: {2024-01-01: x}",
    "date": "profile: 2024-01-01",
    "no date": "profile: 2024-99-99",
    "bytes": "profile: !!binary aGVsbG8=",
    "set": "profile: !!set {a, b}",
    "pairs": "profile: !!pairs [a: b]",
    "Python object": 'profile: !!python/object/apply:os.system ["touch escaped"]',
    "Python name": "profile: !!python/name:os.system",
    "Python module": "!!python/module:os x: 1",
    "long number": f"training: {{epochs: {'9' * 5000}}}",
    "long hexadecimal": f"training: {{epochs: 0x{'f' * 50_000}}}",
    "not a number": "training: {learning_rate: .nan}",
    "endless": "compute: {checkpoint_minutes: .inf}",
    "a whole float": "training: {epochs: 3.0}",
    "name with a newline": 'profile: "quick\\n"',
    "variant with a newline": 'variants: {"vae\\n": {model: vae}}',
    "two documents": "profile: a\n---\nprofile: b",
    "twice": "profile: a\nprofile: b",
    "empty": "",
    "null": "null",
    "list": "- 1",
    "UTF-16": "profile: x".encode("utf-16"),
    "not UTF-8": b"profile: \xff\xfe",
    "NUL": b"profile: a\0b",
    "large": b"#" * 20_000_000,
    "many runs": "experiments: {ladder: [{datasets: [mnist5k], variants: [vae], depths: [1, 2, 3, 4, 5], "
    f"seeds: [{','.join(map(str, range(25_000)))}]}}]}}",
    "large network": "network: {hidden_sizes: [65536, 65536, 65536, 65536, 65536]}",
}


@pytest.mark.parametrize("name", FILES)
def test_hostile_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, content = tmp_path / "hostile.yaml", FILES[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    smoke = ROOT / "config" / "smoke.yaml"
    with pytest.raises(ConfigError) as caught, limited():
        use(configuration.layer([smoke, path]))
    assert "hostile.yaml" in str(caught.value) or "configuration" in str(caught.value)
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("name", ["deep lists", "Python object", "name with a newline", "empty"])
def test_hostile_files_at_the_command_line(name: str, tmp_path: Path) -> None:
    """In a process of its own: a parser's stack overflow ends that."""
    path, content = tmp_path / "hostile.yaml", FILES[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = subprocess.run(
        [sys.executable, "-m", "rungs", "list", "runs", "--config", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("rungs: ")
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["hostile.yaml"]


@cases()
@given(
    st.one_of(
        st.sampled_from(HOSTILE), st.text(max_size=40), st.from_regex(r"\w+/\w+/depth\d+/seed\d+")
    )
)
def test_names_of_runs(name: str) -> None:
    run = told("run name", ["expected dataset/variant"], lambda: Run.parse(name))
    if run is not None:
        assert Run.parse(run.path) == run


def test_limits_are_far_from_real_profiles() -> None:
    """The largest profile has a fiftieth of the values and a quarter of the levels allowed."""
    for config in BASES.values():
        found = places(config)
        assert len(found) < MOST_VALUES / 50
        assert max(map(len, found)) < MOST_LEVELS / 4


def test_messages_are_one_printable_line() -> None:
    message = str(RungsError("a\nb\x1b[2J\udc80" + "x" * 10_000))
    assert message.isprintable()
    assert message.startswith("a\\nb\\x1b[2J\\udc80x")
    assert len(message) < 2100
