"""The command line as people and scripts meet it: help, names, statuses, and the verbs that look."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from PIL import Image

from rungs.cli import cli, main
from rungs.cli.completion import VARIABLE
from rungs.cli.listing import KINDS
from rungs.cli.reference import PAGE, page, verbs
from rungs.cli.shared import FIGURE, PACK, RUN, TABLE, known_run
from rungs.data import mnist
from rungs.figures import FIGURES
from rungs.jobs.packs import packs
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.layers import DEFAULT
from rungs.tables import TABLES

ALL_VERBS = [((), cli), *verbs()]
#: of every kind of model, trained for an epoch in the fixture `trained`
RUNS = (
    *("mnist5k/vae/depth2/seed0", "mnist5k/mog/latent2/seed0", "mnist5k/ae/latent2/seed0"),
    *("mnist5k/vq/codes16/seed0", "mnist5k/vq-nocommit/codes16/seed0"),
    *("mnist5k/conv-vae/latent2/seed0", "mnist5k/vaegan/latent2/seed0"),
)


class Answer:
    """What a command line prints, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        self.status = ended.value.code
        self.out, self.err = capsys.readouterr()
        assert "Traceback" not in self.err


Rungs = Callable[..., Answer]


@pytest.fixture
def rungs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rungs:
    monkeypatch.delenv(configuration.CONFIG_VARIABLE, raising=False)
    return lambda *arguments: Answer(capsys, arguments)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A folder with 200 + 100 prepared digits, and a frozen profile of one epoch."""
    folder = tmp_path_factory.mktemp("cli")
    whole = result_file.read(digits).arrays
    count = {"train": 200, "test": 100}
    some = {name: array[: count[name.split("/")[0]]] for name, array in whole.items()}
    result_file.write(folder / "results/data/mnist5k.h5", some, {"provenance": {}})
    config = configuration.load([ROOT / "config" / "smoke.yaml"])
    config["training"] |= {"epochs": 1, "batch_size": 100}
    (folder / "tiny.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def trained(tiny: Path) -> Path:
    config = configuration.load([tiny / "tiny.json"])
    config["compute"]["tensorboard"] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tiny)
        from rungs.jobs.work import prior_run, train_runs

        for name in RUNS:
            run = known_run(config, name)
            train_runs(config, {run: Path("results/smoke/runs") / name})
        prior_run(config, known_run(config, RUNS[3]), Path("results/smoke/runs", RUNS[3], "prior"))
    return tiny


@pytest.mark.parametrize(
    ("words", "command"), ALL_VERBS, ids=[" ".join(words) or "rungs" for words, _ in ALL_VERBS]
)
def test_every_help_fits_a_screen_and_has_examples(
    words: tuple[str, ...], command: click.Command
) -> None:
    done = CliRunner().invoke(cli, [*words, "--help"], prog_name="rungs", terminal_width=80)
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert len(lines) <= 24, done.output
    assert max(map(len, lines)) <= 80, done.output
    cut = [line for line in lines[1:] if line.endswith("...")]
    assert not cut, f"a verb's first line is too long for the list: {cut}"
    assert command is cli or "Examples:\n  " in done.output
    for word, _ in verbs() if command is cli else ():
        assert re.search(rf"\b{word[0]}\b", done.output), f"{word[0]} is not listed"


EXAMPLES = [example for _, command in ALL_VERBS for example in getattr(command, "examples", ())]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_valid(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their verbs, options and names exist."""
    monkeypatch.chdir(ROOT)
    text = re.split(r"\s[#|>&]|\)\"", re.sub(r'^(\w+=\S+ |eval "\$\()', "", example))[0]
    parts = shlex.split(text)
    assert parts[0] == "rungs"
    found: click.Command = cli
    parts = parts[1:]
    while isinstance(found, click.Group):
        found = found.commands[parts.pop(0)]
    context = found.make_context("x", parts)
    profiles = context.params.get("profiles") or (DEFAULT,)
    config = configuration.load(profiles)
    for parameter in found.params:
        value = context.params[parameter.name or ""]
        if parameter.type is RUN:
            known_run(config, value)
        elif parameter.type in (FIGURE, TABLE, PACK):
            known = {FIGURE: FIGURES, TABLE: TABLES, PACK: packs(config)}[parameter.type]  # type: ignore[index]
            assert value in known


def test_the_reference_page_is_that_of_these_verbs() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m rungs.cli.reference"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["figur", "x"], 2, "no such verb 'figur'; did you mean 'figure'?"),
        (["data", "chek"], 2, "did you mean 'check'?"),
        (["cost", "--jsn"], 2, "Did you mean '--json'?"),
        (["train"], 2, "Missing argument 'RUN'"),
        (["list", "figurs"], 1, "did you mean 'figures'?"),
        (["figure", "ladder_loglk"], 1, "figure 'ladder_loglk' is not known; did you mean 'lad"),
        (["table", "claim"], 1, "table 'claim' is not known; did you mean 'claims'?"),
        (["data", "check", "mnits"], 1, "data set 'mnits' is not known; did you mean 'mnist'?"),
        (["prepare", "mnits"], 1, "did you mean 'mnist'?"),
        (["train", "mnist5k/vae-bm/depth5/seed0"], 1, "'vae-bm' is not known; did you mean 'vae-"),
        (["train", "mnist5/vae/depth5/seed0"], 1, "data set 'mnist5' is not known; did you mean"),
        (["train", "mnist5k/vae/latent5/seed0"], 1, "did you mean 'mnist5k/vae/depth5/seed0'?"),
        (["train", "mnist5k/vae-bn/5/seed0"], 1, "Did you mean 'mnist5k/vae-bn/depth5/seed0'?"),
        (["train", "mnist5k/gauss/latent10"], 1, "Did you mean 'mnist5k/gauss/latent10/seed0'?"),
        (["sample", "mnist5k/mog/latent50/", "x.png"], 1, "mean 'mnist5k/mog/latent50/seed0'?"),
        (["cost", "--config", "config/smok.yaml"], 1, "config/smoke.yaml'?"),
        (["cost", "--config", "smoke"], 1, "config/smoke.yaml'?"),
        (["ais", "mnist5k/gauss/latent3/seed0"], 1, "with 'rungs train mnist5k/gauss/latent3/see"),
        (["export", "mnist5k/gauss/latent3/seed0"], 1, "with 'rungs train mnist5k/gauss/latent3/"),
        (["verify", "mnist5k/gauss/latent3/seed0"], 1, "with 'rungs train mnist5k/gauss/latent3/"),
        (["evaluate", "nonsense"], 1, "'rungs list runs' names them"),
        (["bench", "--only", "trainin"], 1, "did you mean 'training'?"),
        (["pack", "train", "mnist5k.vea.0.0000"], 1, "did you mean 'mnist5k.vae.0.0000'?"),
        (["train", "mnist5k/vae/depth5/seed0"], 1, "not prepared; run: rungs prepare mnist5k"),
        (
            ["train", "mnist5k/vae/depth2/seed0", "--config", str(ROOT / "config/smoke.yaml")],
            *(1, f"run: rungs prepare mnist5k, adding --config {ROOT}/config/smoke.yaml."),
        ),
        (["sample", "mnist5k/vae/depth5/seed0", "x.jpg"], 1, ".png or .npz"),
        (["sample", "mnist5k/vae/depth5/seed0", "x.png"], 1, "file is missing; make it with"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_mistakes_are_answered_with_the_right_name(
    rungs: Rungs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = rungs(*arguments)
    assert answer.status == status
    assert said in answer.err
    assert status == 2 or answer.err.count("\n") == 1, "one line"


def test_everything_that_there_is_is_listed(
    rungs: Rungs, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    found = json.loads(rungs("list", "--json", "--config", "tiny.json").out)
    assert set(found) == set(KINDS)
    for kind, items in found.items():
        assert items, kind
        assert all(item["name"] and item["description"] for item in items), kind
    assert [item["name"] for item in found["figures"]] == list(FIGURES)
    one = json.loads(rungs("list", "tables", "--json").out)
    assert one == found["tables"]
    lines = rungs("list", "runs", "--config", "tiny.json").out.splitlines()
    assert len(lines) == len(found["runs"])
    assert "mnist5k/vae/depth2/seed0 " in lines[0]


def damage(name: str, array: np.ndarray) -> Callable[[dict[str, np.ndarray]], dict[str, Any]]:
    return lambda arrays: arrays | {name: array}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: {n: v for n, v in a.items() if n != "test/labels"}, "has no test/labels"),
        (damage("test/images", np.zeros((1000, 28, 28), np.uint8)), "test/images are all 0"),
        (damage("test/images", np.zeros((999, 28, 28), np.uint8)), "expected uint8 of shape"),
        (damage("test/labels", np.full(1000, np.nan)), "are not numbers"),
        (damage("test/labels", np.full(1000, -1)), "expected integers from 0"),
        (damage("test/labels", np.full(1000, 77)), "labels [77] are not in the training set"),
        (damage("test/labels", np.zeros(1000, np.int64)), "differs from what its source gives"),
    ],
)
def test_wrong_data_are_found(
    rungs: Rungs,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result_file.write(
        "results/data/mnist5k.h5", change(result_file.read(digits).arrays), {"provenance": {}}
    )
    answer = rungs("data", "check", "mnist5k", "--json")
    (found,) = json.loads(answer.out)
    assert (answer.status, found["prepared"], found["source"]) == (1, "wrong", "sound")
    assert said in " ".join(found["problems"])


def test_sound_and_absent_data(
    rungs: Rungs, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(configuration.RAW_DATA_VARIABLE, raising=False)
    target = Path("results/data/mnist5k.h5")
    target.parent.mkdir(parents=True)
    answer = rungs("data", "check")
    assert answer.status == 0
    assert "prepared: absent   source: sound" in answer.out
    assert "rungs prepare mnist5k" in answer.out
    target.write_bytes(digits.read_bytes())
    answer = rungs("data", "check")
    assert answer.status == 0
    assert "prepared: sound    source: sound" in answer.out
    assert "4000 + 1000 images of 28x28, 10 classes" in answer.out
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(bytes(content))
    answer = rungs("data", "check")
    assert answer.status == 1
    assert "damaged" in answer.out
    answer = rungs("data", "check", "mnist")
    assert (answer.status, "source: download" in answer.out) == (0, True)
    assert "mnist/train-images-idx3-ubyte.gz" in answer.out
    monkeypatch.setenv(configuration.RAW_DATA_VARIABLE, str(tmp_path))
    answer = rungs("data", "check", "mnist")
    assert (answer.status, "source: absent" in answer.out) == (1, True)
    assert "Put the four files of MNIST there" in " ".join(answer.out.split())
    # a file that is there under another of its names is another mistake
    for name in mnist.FILES:
        (tmp_path / name.replace("-idx", ".idx")).write_bytes(b"damaged")
    answer = rungs("data", "check", "mnist")
    assert (answer.status, "source: wrong" in answer.out) == (1, True)
    assert "train-images.idx3-ubyte" in answer.out


def completions(arguments: list[str], incomplete: str) -> list[str]:
    complete = ShellComplete(cli, {}, "rungs", VARIABLE)
    return [item.value for item in complete.get_completions(arguments, incomplete)]


def test_names_are_completed(rungs: Rungs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(configuration.CONFIG_VARIABLE, raising=False)
    for shell in ("bash", "zsh", "fish"):
        assert VARIABLE in rungs("completion", shell).out
    assert completions([], "fig") == ["figure"]
    assert completions(["figure"], "ladder_l") == ["ladder_loglik"]
    assert completions(["table"], "claim") == ["claims"]
    assert completions(["data", "check", "mnist"], "omni") == ["omniglot", "omniglot28"]
    assert completions(["list"], "var") == ["variants"]
    smoke = ["train", "--config", str(ROOT / "config" / "smoke.yaml")]
    assert completions(smoke, "mnist5k/vae/") == [
        "mnist5k/vae/depth2/seed0",
        "mnist5k/vae/depth5/seed0",
    ]
    assert completions(["train", "--config", "no-such.yaml"], "mnist") == []
    assert "--minutes" in completions(["train"], "--")


def test_looking_needs_no_torch(tmp_path: Path) -> None:
    """Help, lists, completion and progress start without it."""
    code = (
        "import sys\nfrom rungs.cli import main, cli\n"
        "for words in (['--help'], ['list'], ['train', '--help'], ['progress', '--json']):\n"
        "    try: main(words)\n"
        "    except SystemExit as ended: assert not ended.code, words\n"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines()[-1] == "False False"


def test_a_run_by_hand_and_by_script(
    rungs: Rungs, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted with status 75, continued, told in JSON."""
    monkeypatch.chdir(tiny)
    arguments = ("mnist5k/lvae-bn-wu/depth2/seed0", "--config", "tiny.json")
    stopped = rungs("train", *arguments, "--minutes", "0.00001")
    assert stopped.status == 75
    assert "the same command continues" in stopped.err
    done = rungs("train", *arguments, "--json")
    assert done.status == 0
    told = json.loads(done.out)
    assert (told["epochs"], told["criterion"]) == (2, "elbo")  # one of them in the continuation
    assert told["value"] < 0 < told["images_per_second"]
    told = rungs("evaluate", *arguments).out.splitlines()
    assert told[0] == f"results/smoke/runs/{arguments[0]}/evaluation.h5"
    measured = json.loads(rungs("evaluate", *arguments, "--json").out)
    assert told[1].startswith(f"{arguments[0]}: L_10 {measured['test_lk']:.2f}, ELBO ")
    assert measured["test_elbo"] <= measured["test_lk"] < 0
    assert measured["k"] == 10
    state = json.loads(rungs("list", "runs", "--json", "--config", "tiny.json").out)
    assert {i["name"]: i["description"] for i in state}[arguments[0]] == "trained, evaluated"


def test_the_cost_of_a_small_profile_has_digits(rungs: Rungs) -> None:
    told = rungs("cost", "--config", str(ROOT / "config/smoke.yaml"))
    found = dict(re.findall(r"^  (\w[\w ]*?) {2,}(\S+)$", told.out, re.M))
    assert found.pop("gpu hours") == "0"
    assert len(found) >= 8
    assert all(float(value.replace(",", "")) > 0 for value in found.values()), told.out


@pytest.mark.parametrize("run", RUNS)
def test_samples_of_every_kind_of_model(
    rungs: Rungs, trained: Path, monkeypatch: pytest.MonkeyPatch, run: str, tmp_path: Path
) -> None:
    monkeypatch.chdir(trained)
    found = []
    for seed, name in (("1", "a.npz"), ("1", "b.npz"), ("2", "c.npz")):
        target = tmp_path / name
        options = ("--count", "5", "--seed", seed, "--config", "tiny.json")
        assert rungs("sample", run, str(target), *options).status == 0
        with np.load(target) as arrays:
            found.append(arrays["images"])
    first, again, other = found
    assert (first.shape, first.dtype) == ((5, 28, 28), np.uint8)
    assert (first == again).all()
    assert (first != other).any()
    done = rungs("sample", run, str(tmp_path / "a.png"), "--config", "tiny.json")
    assert done.status == 0
    assert done.out == f"{tmp_path / 'a.png'}: 64 samples of {run}, 28 by 28 pixels each\n"
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape == (3 * (8 * 29 - 1), 3 * (8 * 29 - 1))
    assert (picture[::3, ::3] == picture[2::3, 1::3]).all()


def test_annealed_importance_sampling(
    rungs: Rungs, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside L_k; an upper bound on simulated images; a mistake where there is nothing to estimate."""
    monkeypatch.chdir(trained)

    def ais(run: str, *options: str) -> Answer:
        short = ("--images", "4", "--chains", "2", "--steps", "3", "--samples", "5")
        return rungs("ais", run, "--config", "tiny.json", *short, *options)

    found = json.loads(ais(RUNS[1], "--simulated", "--float64", "--json").out)
    assert (found["images"], found["simulated"]) == (4, True)
    assert found["AIS backwards"]["nats"] > found["AIS"]["nats"]
    assert found["L_5"]["less_lk"] == 0
    printed = ais(RUNS[5], "--start", "posterior").out.splitlines()
    assert [line.split()[0] for line in printed[2:]] == ["AIS", "L_5"]
    for run, reason in ((RUNS[0], "one stochastic layer"), (RUNS[2], "has no likelihood")):
        answer = ais(run)
        assert (answer.status, reason in answer.err) == (1, True), answer.err
    assert "binary pixels only" in ais(RUNS[5], "--simulated").err


def test_event_files_are_the_configurations_wish(trained: Path) -> None:
    for name in (*RUNS, f"{RUNS[3]}/prior"):
        assert list((trained / "results/smoke/runs" / name).glob("events/events.out.tfevents.*"))
        assert not (trained / "results/smoke/runs" / name / "progress.json").exists()


def test_a_learnt_prior_is_needed_and_used(
    rungs: Rungs, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes come from the prior that was learnt; where it is not trained, samples are refused."""
    from rungs.api import load

    monkeypatch.chdir(trained)
    folder = Path("results/smoke/runs", RUNS[3])
    learnt = load(folder).sample(5)
    (folder / "prior").rename(folder / "away")
    try:
        uniform = load(folder).sample(5)
        answer = rungs("sample", RUNS[3], "x.png", "--config", "tiny.json")
    finally:
        (folder / "away").rename(folder / "prior")
    assert (learnt != uniform).any()
    assert (answer.status, "has no prior yet" in answer.err) == (1, True)


def test_a_model_that_cannot_draw_says_so(trained: Path) -> None:
    from rungs.api import load
    from rungs.errors import RungsError

    prior = load(trained / "results/smoke/runs" / RUNS[3] / "prior")
    assert len(prior.history["objective"]) > 0
    with pytest.raises(RungsError, match="'code-prior' is no model of images"):
        prior.sample(1)
