"""The networks that run in the report's page, against torch."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_profile
import numpy as np
import pytest
import torch
from browsers import browser  # noqa: F401, a fixture

from rungs.errors import StoreError
from rungs.evaluation.latent_space import LATTICE
from rungs.models.build_model import build_model
from rungs.models.networks import BatchNorm
from rungs.numerics.seeds import generator
from rungs.report import explorer, page
from rungs.report.explorer import Explored
from rungs.study.layout import Layout
from rungs.study.profile import load
from rungs.study.runs import Run
from rungs.study.settings import resolve

SHAPE = (28, 28)
COUNT = 8
#: of a pixel in the page
STEP = 1 / 255
MINUS = "\N{MINUS SIGN}"
#: the grey levels of the first picture of a canvas, by its selector and the side of a picture
PICTURE = """
const canvas = document.querySelector(arguments[0]), side = arguments[1];
const data = canvas.getContext("2d").getImageData(0, 0, side, side).data;
return [...data].filter((_, i) => i % 4 === 0);
"""


def model(config: dict[str, Any], run: Run, **network: Any) -> Any:
    """A model as it is after training: every parameter and statistic is away from its first value."""
    settings = resolve(config, run)
    made = build_model(settings | {"network": settings["network"] | network}, 784, "cpu").eval()
    random = generator(0, "test")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=random)
        if getattr(made, "affine", None) is not None:  # which multiplies them by its speed
            for parameter in made.affine.parameters():
                parameter /= made.affine.speed
        for norm in made.modules():
            if isinstance(norm, BatchNorm):
                norm.mean.normal_(generator=random)
                norm.variance.uniform_(0.5, 2.0, generator=random)
    return made


def noise(units: tuple[int, ...]) -> list[torch.Tensor]:
    """Noise of each layer, top first."""
    random = torch.Generator().manual_seed(1)
    return [torch.randn(COUNT, size, generator=random) for size in units]


def by_torch(made: Any, drawn: list[torch.Tensor]) -> np.ndarray:
    """The images of the model itself."""
    with torch.no_grad():
        latents = made.generate(drawn[::-1])
        return made.decode(latents[0]).numpy()


@pytest.mark.parametrize("activation", ["leaky", "tanh", "gated"])
@pytest.mark.parametrize("variant", ["vae", "lvae-bn-wu", "gauss", "gauss-affine"])
def test_exported_networks_give_the_images_of_the_model(
    smoke_config: dict[str, Any], variant: str, activation: str
) -> None:
    single = variant.startswith("gauss")
    run = Run("mnist5k", variant, 2 if single else 3, 0, "latent" if single else "depth")
    made = model(smoke_config, run, activation=activation)
    found = explorer.explore(made, run.path, SHAPE)
    assert found
    drawn = noise(found.units)
    expected = by_torch(made, drawn)
    assert expected.std() > 0.05
    ours = found.images([each.numpy() for each in drawn])
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize(
    "run",
    [
        Run("mnist5k", "vae", 1, 0),
        Run("mnist5k", "gauss", 10, 0, "latent"),
        Run("mnist5k", "ae", 2, 0, "latent"),
    ],
)
def test_what_the_page_cannot_run_is_left_out(smoke_config: dict[str, Any], run: Run) -> None:
    assert explorer.explore(model(smoke_config, run), run.path, SHAPE) is None


def weights(found: dict[str, Any]) -> int:
    return sum(len(layer["weight"]) for network in found["networks"] for layer in network)


def test_weights_are_halved_only_where_images_stay_the_same(smoke_config: dict[str, Any]) -> None:
    run = Run("mnist5k", "gauss", 2, 0, "latent")
    made = model(smoke_config, run)
    found = explorer.explore(made, run.path, SHAPE)
    assert found
    small = found.to_json()
    assert small["half"]
    with torch.no_grad():
        made.pixel_outputs.weight *= 300  # logits of hundreds: half has no digits left for these
    fine = explorer.explore(made, run.path, SHAPE)
    assert fine
    large = fine.to_json()
    assert not large["half"]
    assert weights(large) == pytest.approx(2 * weights(small), rel=0.01)


def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, smoke_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StoreError, match=r"explorer.json: is missing; make it with 'rungs explorer'"
    ):
        explorer.read(smoke_config)
    path = Path(Layout("smoke").explorer)
    path.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"vae_manifold": []}'):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"explorer.json: is damaged"):
            explorer.read(smoke_config)
    path.write_text('{"vae_manifold": [{"run": "a"}], "ladder_samples": []}')
    with pytest.raises(StoreError, match=r"explorer.json: is of an older version; make it anew"):
        explorer.read(smoke_config)


def test_the_page_gives_the_images_of_the_model(
    browser: tuple[str, Any],  # noqa: F811
    smoke_config: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Within a step of a pixel's 256, float16 weights included; and it is used by pointer and keys."""
    _, at = browser
    shown = {
        "vae_manifold": 2 * [Run("mnist5k", "gauss", 2, 0, "latent")],
        "ladder_samples": [Run("mnist5k", "vae", 3, 0), Run("mnist5k", "lvae-bn-wu", 3, 0)],
    }
    models = {name: [model(smoke_config, run) for run in runs] for name, runs in shown.items()}
    found: dict[str, list[Explored]] = {}
    for name, runs in shown.items():
        made = [
            explorer.explore(m, run.path, SHAPE) for m, run in zip(models[name], runs, strict=True)
        ]
        found[name] = [each for each in made if each]
    with contextlib.chdir(tmp_path):
        config = made_profile.make(tmp_path)
        found["vae_manifold"][0] = replace(found["vae_manifold"][0], ink=False)
        stored = {name: [each.to_json() for each in runs] for name, runs in found.items()}
        Path(Layout(config["profile"]).explorer).write_text(json.dumps(stored))
        report = tmp_path / page.write(config)
    at.get(report.as_uri())
    for name, runs in found.items():
        for number, run in enumerate(runs):
            drawn = noise(run.units)
            expected = by_torch(models[name][number], drawn)
            ask = "return rungs.image(arguments[0], arguments[1], arguments[2])"
            for i in range(COUNT):
                ours = at.execute_script(ask, name, number, [each[i].tolist() for each in drawn])
                np.testing.assert_allclose(ours, expected[i], atol=STEP)

    def said(figure: str) -> str:
        return str(
            at.execute_script(f"return document.querySelector('#{figure} output')?.value ?? ''")
        )

    def wait(figure: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        at.execute_script(f"document.querySelector('#{figure} .explorer').scrollIntoView()")
        WebDriverWait(at, 20).until(lambda _: said(figure))

    wait("vae_manifold")
    assert said("vae_manifold") == "z = (0.00, 0.00)"
    at.find_element("css selector", "#vae_manifold .map canvas").send_keys("\ue014")  # right
    assert said("vae_manifold") == "z = (0.05, 0.00)"
    # the lattice of the figure: in its upper left corner z_1 is lowest and z_2 highest
    white, plane = found["vae_manifold"]
    np.testing.assert_allclose(plane.lattice[:: LATTICE - 1], [-1.96, 1.96], atol=1e-3)
    z = np.array([[plane.lattice[0], plane.lattice[-1]]], dtype=np.float32)
    expected = plane.images([z])[0]
    assert plane.ink
    assert not white.ink
    corner = np.array(at.execute_script(PICTURE, "#vae_manifold .map canvas", SHAPE[1])) / 255
    np.testing.assert_allclose(1 - corner, expected, atol=1.5 * STEP)
    point = (
        "const box = document.querySelector('#vae_manifold .map canvas').getBoundingClientRect();"
    )
    move = "new PointerEvent('pointermove', {clientX: box.left + 0.5 / 20 * box.width, clientY: box.top})"
    at.execute_script(
        f"{point} document.querySelector('#vae_manifold .map canvas').dispatchEvent({move})"
    )
    assert said("vae_manifold").replace(MINUS, "-") == "z = (-1.96, 1.96)"
    # the other run's data are white on black, and so are its pictures
    at.execute_script(
        "const list = document.querySelector('#vae_manifold select'); list.selectedIndex = 0;"
        "list.dispatchEvent(new Event('change'))"
    )
    corner = np.array(at.execute_script(PICTURE, "#vae_manifold .map canvas", SHAPE[1])) / 255
    np.testing.assert_allclose(corner, expected, atol=1.5 * STEP)
    wait("ladder_samples")
    drawing = "return document.querySelector('#ladder_samples canvas').toDataURL()"
    before = at.execute_script(drawing)
    at.execute_script("document.querySelector('#ladder_samples button').click()")
    assert at.execute_script(drawing) != before
    assert len(at.find_elements("css selector", "#ladder_samples input[type=radio]")) == 3
    assert [entry for entry in at.get_log("browser") if entry["level"] == "SEVERE"] == []
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert at.execute_script(wide) <= 0


def test_the_default_profile_explores_a_plane_and_a_ladder() -> None:
    chosen = explorer.chosen(load(["config/config.yaml"]))
    assert [run.variant for run in chosen["vae_manifold"]] == ["gauss"]
    assert [run.variant for run in chosen["ladder_samples"]] == ["vae", "lvae-bn-wu"]
