"""The Python interface: the examples of docs/api.md and every family of models."""

from __future__ import annotations

import contextlib
import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rungs
from rungs.data import prepare
from rungs.errors import ConfigError, DataError, StoreError
from rungs.jobs import work
from rungs.paths import ROOT
from rungs.study.layout import Layout
from rungs.study.runs import Run
from rungs.study.settings import evaluation_settings

RUN = "mnist5k/gauss/latent2/seed0"


def tiny(smoke_config: dict[str, Any]) -> dict[str, Any]:
    training = smoke_config["training"] | {"epochs": 1}
    evaluation = smoke_config["evaluation"] | {"images": 20, "train_images": 20}
    return smoke_config | {"profile": "quick", "training": training, "evaluation": evaluation}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, smoke_config: dict[str, Any]) -> Iterator[Path]:
    """A folder in which a run of the profile ``quick`` is trained and evaluated, as the working
    directory."""
    with contextlib.chdir(tmp_path_factory.mktemp("api")):
        prepare("mnist5k", None, Path("cache")).write(Layout.data("mnist5k"))
        yield Path.cwd()


def train(config: dict[str, Any], name: str) -> Path:
    run = Run.parse(name)
    folder = Path(Layout("quick").run(run))
    work.train_runs(config, {run: folder})
    return folder


@pytest.fixture(scope="module")
def evaluated(place: Path, smoke_config: dict[str, Any]) -> Path:
    from rungs.evaluation.run import Inputs, evaluate

    config = tiny(smoke_config)
    folder = train(config, RUN)
    settings = evaluation_settings(config, Run.parse(RUN))
    # without the classifier, which takes longer to train than all of this
    evaluate(Inputs(folder, Path(Layout.data("mnist5k")), settings | {"probe_latents": []}))
    return folder


@pytest.mark.usefixtures("evaluated")
def test_the_examples_of_the_page_hold() -> None:
    found = doctest.testfile(str(ROOT / "docs" / "api.md"), module_relative=False)
    assert found.attempted > 15
    assert found.failed == 0


def test_the_bound_agrees_with_the_evaluation(evaluated: Path) -> None:
    """Of the bits that the evaluation saw: other draws, the same expectation."""
    from rungs.evaluation.splits import Split

    run = rungs.load(evaluated)
    assert run.evaluation is not None
    test = Split.read(Path(Layout.data("mnist5k")), "test", 20)
    found = np.array([run.log_likelihood(test.x.numpy(), k=10, seed=s) for s in range(12)])
    assert not np.array_equal(found[0], found[1])
    noise = np.sqrt((found.var(0, ddof=1) * (1 + 1 / 12)).sum()) / 20
    assert noise < 0.02 * abs(found.mean())
    assert abs(run.evaluation["test/lk"].mean() - found.mean()) < 4 * noise


def test_an_images_bound_depends_on_the_image_alone(evaluated: Path) -> None:
    """Bits and grey images, alone, among others, in another order, twice in a call."""
    run = rungs.load(evaluated)
    grey = rungs.load_data("mnist5k").test_images[:7]
    for images in (grey, grey > 127):
        together = run.log_likelihood(images, k=30, seed=1)
        alone = [run.log_likelihood(image[None], k=30, seed=1).item() for image in images]
        assert alone == list(together)
        assert len(set(alone)) == 7
        order = [3, 1, 6, 6, 0]
        mixed = run.log_likelihood(images[order], k=30, seed=1)
        np.testing.assert_array_equal(mixed, together[order])
    assert (run.log_likelihood(grey, k=30, seed=2) != run.log_likelihood(grey, k=30, seed=1)).all()
    assert run.log_likelihood(grey[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mnist5k/lvae-bn-wu/depth2/seed0", [8, 4]),
        ("mnist5k/mog/latent2/seed0", [2]),
        ("mnist5k/vaegan/latent2/seed0", [2]),
        ("mnist5k/ae/latent2/seed0", [2]),
        ("mnist5k/conv-vae/latent2/seed0", [98]),
        ("mnist5k/conv-vae-pixel/latent2/seed0", [98]),
        ("mnist5k/vq-nocommit/codes16/seed0", [49]),
    ],
)
def test_every_family_is_loaded(
    place: Path, smoke_config: dict[str, Any], name: str, layers: list[int]
) -> None:
    config = tiny(smoke_config)
    run = rungs.load(train(config, name))
    assert run.evaluation is None
    images = rungs.load_data("mnist5k").test_images[:3]
    codes = run.encode(images)
    assert [code.shape for code in codes] == [(3, units) for units in layers]
    for found in (run.sample(3), run.reconstruct(images), run.decode(codes[0])):
        assert found.shape == (3, 28, 28)
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() <= 1
    # whatever the other images are, in any order, twice in a call
    order = [2, 0, 0]
    for whole, mixed in zip(codes, run.encode(images[order]), strict=True):
        np.testing.assert_array_equal(mixed, whole[order])
    np.testing.assert_array_equal(run.reconstruct(images[order]), run.reconstruct(images)[order])
    np.testing.assert_array_equal(run.decode(codes[0][order]), run.decode(codes[0])[order])
    assert run.reconstruct(images[:0]).shape == (0, 28, 28)
    assert [code.shape for code in run.encode(images[:0])] == [(0, units) for units in layers]
    wrong: list[Any] = [codes[0][:, :-1], codes[0].astype(complex), [[1], [2, 3]]]
    if name.split("/")[1] == "vq-nocommit":
        wrong += [codes[0] - 1000, codes[0] + 0.5]
    for given in wrong:
        with pytest.raises(DataError):
            run.decode(given)
    np.testing.assert_array_equal(run.sample(2, seed=1), run.sample(2, seed=1))
    assert not np.array_equal(run.sample(2, seed=1), run.sample(2, seed=2))
    if name.split("/")[1] in ("vaegan", "ae"):
        with pytest.raises(ConfigError, match="has no likelihood"):
            run.log_likelihood(images)
    else:
        bound = run.log_likelihood(images, k=3)
        assert bound.shape == (3,)
        assert np.isfinite(bound).all()


def test_images_are_checked(evaluated: Path) -> None:
    run = rungs.load(evaluated)
    with pytest.raises(DataError, match=r"expected numbers \[n, 28, 28\]"):
        run.encode(np.zeros((2, 14, 14)))
    with pytest.raises(DataError, match=r"a pixel of 2\.0; expected numbers from 0 to 1"):
        run.encode(np.full((2, 28, 28), 2.0))
    with pytest.raises(DataError, match="a pixel of nan; expected numbers"):
        run.encode(np.full((2, 28, 28), np.nan))
    with pytest.raises(DataError, match="expected numbers"):
        run.encode(np.full((2, 28, 28), "a"))
    for k in (0, 2.5, True):
        with pytest.raises(ConfigError, match=f"k = {k}"):
            run.log_likelihood(np.zeros((2, 28, 28)), k=k)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="count = -1"):
        run.sample(-1)
    with pytest.raises(DataError, match="are no array"):
        run.encode([[1.0, 2.0], [3.0]])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="some values are masked"):
        run.encode(np.ma.masked_less(np.ones((2, 28, 28)), 2))
    with pytest.raises(DataError, match=r"latents of shape \(2, 3\).*expected numbers \[n, 2\]"):
        run.decode(np.zeros((2, 3)))
    with pytest.raises(DataError, match="not all finite"):
        run.decode(np.full((2, 2), np.nan))
    grey = rungs.load_data("mnist5k").test_images[:2]
    np.testing.assert_array_equal(run.encode(grey)[0], run.encode(grey / 255)[0])
    np.testing.assert_array_equal(run.encode(grey)[0], run.encode(grey.reshape(2, -1))[0])
    for same in (np.asfortranarray(grey), grey.astype(">u4"), list(grey), torch.from_numpy(grey)):
        np.testing.assert_array_equal(run.encode(same)[0], run.encode(grey)[0])  # type: ignore[arg-type]


def test_the_type_of_bits_does_not_matter(evaluated: Path) -> None:
    """Bits are bits in any type, and intensities are read by the white that is stated."""
    run = rungs.load(evaluated)
    bits = rungs.load_data("mnist5k").test_images[:3] > 127
    expected = run.log_likelihood(bits, k=3)
    for kind in (np.int64, np.float32, np.float64, np.uint8, np.uint16):
        np.testing.assert_array_equal(run.log_likelihood(bits.astype(kind), k=3), expected)
    np.testing.assert_array_equal(run.log_likelihood(bits * np.uint8(255), k=3), expected)
    sixteen = bits * np.uint8(16)
    with pytest.raises(DataError, match=r"largest pixel is 16 .*pass white=16, or 255"):
        run.log_likelihood(sixteen, k=3)
    np.testing.assert_array_equal(run.log_likelihood(sixteen, k=3, white=16), expected)
    np.testing.assert_array_equal(run.reconstruct(sixteen, white=16), run.reconstruct(bits))
    np.testing.assert_array_equal(run.encode(sixteen, white=16)[0], run.encode(bits)[0])


def test_what_is_no_run_is_named(place: Path) -> None:
    with pytest.raises(StoreError, match="neither a run's folder nor a run's name"):
        rungs.load("nowhere/at/all")
    (place / "empty").mkdir()
    with pytest.raises(StoreError, match=r"training\.h5: the file is missing"):
        rungs.load("empty")
    with pytest.raises(ConfigError, match="did you mean 'mnist5k'"):
        rungs.load_data("mnist5")
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        rungs.lode  # noqa: B018


def test_what_a_notebook_shows_is_a_line(evaluated: Path) -> None:
    run = rungs.load(evaluated)
    for shown in (run, run.history, run.evaluation, rungs.load_data("mnist5k")):
        assert len(repr(shown)) < 150
        assert "\n" not in repr(shown)
    assert set(dir(rungs)) == {
        *("Trained", "evaluate", "load", "load_config", "load_data", "train"),
        "__version__",
    }


def test_a_name_is_no_configuration() -> None:
    for call in (rungs.load_data, rungs.load, rungs.evaluate):
        with pytest.raises(ConfigError, match=r"config= takes settings, .* not 'mine\.yaml'"):
            call("mine", config="mine.yaml")
    with pytest.raises(ConfigError, match="config= takes settings"):
        rungs.train("gauss", "mnist5k", latent=2, config="mine.yaml")  # type: ignore[arg-type]


def test_a_profile_that_is_not_known_is_named_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profiles of the package are offered by name, wherever the working folder is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    for name, near in {
        "smoki": "did you mean 'smoke'?",
        "unlike any": "known are config, ",
    }.items():
        with pytest.raises(ConfigError, match=f"profile '{name}' is not known; {re.escape(near)}"):
            rungs.load_config(name)
    with pytest.raises(ConfigError, match=r"mein\.yaml: .*did you mean 'mine\.yaml'"):
        rungs.load_config("mein.yaml")
