"""The affine map of the latents before the decoder, and the runs that continue others with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import training_images
from dense_models import SINGLE, built
from rungs.errors import StoreError
from rungs.evaluation.latent_space import FACTORS, rescaled_arrays
from rungs.evaluation.run import load_evaluator
from rungs.jobs.train import TrainingJob, train, train_together
from rungs.models.affine_map import AffineMap
from rungs.storage.tensors import load_tensors, save_tensors
from rungs.study.layout import WEIGHTS
from rungs.study.runs import Run, parent_of
from rungs.study.settings import resolve
from rungs.training.trainer import Trainer

SPEED = 30.0
Z = torch.randn(50, 6, generator=torch.Generator().manual_seed(2))
BITS = (torch.rand(50, 30, generator=torch.Generator().manual_seed(3)) < 0.5).float()


def random_map() -> AffineMap:
    made = AffineMap(6, SPEED)
    with torch.no_grad():
        made.location.copy_(torch.linspace(-0.01, 0.02, 6))
        made.log_scale.copy_(torch.linspace(-0.03, 0.02, 6))
    return made


def test_the_map_shifts_and_scales_every_latent() -> None:
    with torch.no_grad():
        found = random_map()(Z)
    for j in range(6):
        m, g = 30 * (-0.01 + 0.006 * j), 30 * (-0.03 + 0.01 * j)
        expected = (Z[:, j].double() - m) * math.exp(g)
        torch.testing.assert_close(found[:, j].double(), expected, rtol=1e-5, atol=1e-5)


def test_the_map_starts_as_the_identity() -> None:
    plain, mapped = built("single", 1, **SINGLE), built("single", 1, **SINGLE, affine_speed=SPEED)
    assert torch.equal(mapped.affine(Z), Z)
    own = dict(mapped.named_parameters())
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, own[name]), "other weights are drawn as without the map"
    assert torch.equal(plain.log_likelihood(BITS, Z), mapped.log_likelihood(BITS, Z))
    assert torch.equal(plain.decode(Z), mapped.decode(Z))


def test_the_decoder_takes_the_mapped_latents_and_the_bound_those_before_the_map() -> None:
    """The derivative by z is that of the map and the decoder, and the KL is of z itself."""
    plain, mapped = built("single", 1, **SINGLE), built("single", 1, **SINGLE, affine_speed=SPEED)
    mapped.affine = random_map()
    with torch.no_grad():
        torch.testing.assert_close(mapped.decode(Z), plain.decode(mapped.affine(Z)))
    z = Z.clone().requires_grad_()
    inner = mapped.affine(Z).detach().requires_grad_()
    (outer,) = torch.autograd.grad(mapped.log_likelihood(BITS, z).sum(), z)
    (expected,) = torch.autograd.grad(plain.log_likelihood(BITS, inner).sum(), inner)
    scale = (SPEED * mapped.affine.log_scale).exp().detach()
    torch.testing.assert_close(outer, expected * scale, rtol=1e-4, atol=1e-5)
    noise = [torch.zeros(50, 6)]
    layers = [model.draw(model.encode(BITS), noise)[0] for model in (plain, mapped)]
    assert torch.equal(layers[0].kl(), layers[1].kl())
    assert torch.equal(layers[0].sample, layers[1].sample)


def run_settings(config: dict[str, Any], **training: Any) -> dict[str, Any]:
    settings: Any = resolve(config, Run("mnist5k", "gauss-affine", 2, 0, "latent"))
    settings["training"] |= training
    return settings


def test_the_map_moves_thirty_times_as_far_in_a_step(
    smoke_config: dict[str, Any], digits: Path
) -> None:
    """Adam's first step is the learning rate for every parameter, whatever its gradient."""
    settings = run_settings(smoke_config, learning_rate=1e-3, annealing=0.0, adam_epsilon=1e-12)
    settings["training"]["batch_size"] = len(training_images(digits))
    trainer = Trainer(settings, training_images(digits), "cpu")
    assert trainer.batches == 1
    bias = trainer.model.pixel_outputs.bias.detach().clone()
    trainer.run_epoch()
    affine = trainer.model.affine
    moved = (trainer.model.pixel_outputs.bias.detach() - bias).abs().max()
    assert float(moved) == pytest.approx(1e-3, rel=1e-3)
    with torch.no_grad():
        shift, scale = -affine(torch.zeros(2)), affine(torch.ones(2)) - affine(torch.zeros(2))
    torch.testing.assert_close(scale.log().abs(), torch.full((2,), 0.03), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close((shift / scale).abs(), torch.full((2,), 0.03), rtol=1e-3, atol=1e-5)


def test_the_layer_after_the_latents_undoes_a_factor() -> None:
    for speed in (0.0, SPEED):
        model = built("single", 1, **SINGLE, affine_speed=speed)
        if speed:
            model.affine = random_map()
        with torch.no_grad():
            before = model.log_likelihood(BITS, Z)
            model.undo_scale(1.25)
            torch.testing.assert_close(model.log_likelihood(BITS, 1.25 * Z), before)
            assert not torch.allclose(model.log_likelihood(BITS, Z), before)
        model.undo_scale(0.8)
        found = rescaled_arrays(model, BITS, 0, 20)["rescale/reconstruction"]
        spread = found - found[FACTORS.index(1.0)]
        assert abs(spread).max() < 1e-3


@pytest.fixture(scope="module")
def trained(
    digits: Path, smoke_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """``gauss``, and ``gauss-affine`` which continues it."""
    run = Run("mnist5k", "gauss-affine", 2, 0, "latent")
    parent = parent_of(smoke_config, run)
    assert parent is not None
    assert parent.variant == "gauss"
    folder = tmp_path_factory.mktemp("affine")
    folders = {name: folder / name for name in ("gauss", "affine")}
    train(resolve(smoke_config, parent), digits, folders["gauss"], 5)
    start = folders["gauss"] / WEIGHTS
    train(run_settings(smoke_config, epochs=2), digits, folders["affine"], 5, start)
    return folders


def test_a_run_with_the_map_starts_where_a_run_without_it_ended(
    trained: dict[str, Path], smoke_config: dict[str, Any], digits: Path
) -> None:
    start = trained["gauss"] / WEIGHTS
    model = Trainer(run_settings(smoke_config), training_images(digits), "cpu", start).model
    given = load_tensors(start)[0]
    state = model.state_dict()
    assert state.keys() - given.keys() == set(model.may_start)
    for name, tensor in state.items():
        assert torch.equal(tensor, given.get(name, torch.zeros(2))), name


def test_only_the_map_may_be_missing_and_only_at_the_start(
    trained: dict[str, Path], smoke_config: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    lacking = {
        n: t for n, t in load_tensors(trained["gauss"] / WEIGHTS)[0].items() if "head" not in n
    }
    save_tensors(tmp_path / "lacking", lacking, {})
    with pytest.raises(StoreError, match="another model"):
        Trainer(run_settings(smoke_config), training_images(digits), "cpu", tmp_path / "lacking")
    trained_weights = (trained["affine"] / WEIGHTS).read_bytes()
    try:
        (trained["affine"] / WEIGHTS).write_bytes((trained["gauss"] / WEIGHTS).read_bytes())
        with pytest.raises(StoreError, match="another model"):
            load_evaluator(trained["affine"], False)
    finally:
        (trained["affine"] / WEIGHTS).write_bytes(trained_weights)


def test_a_trained_map_is_stored_and_loaded(trained: dict[str, Path]) -> None:
    evaluator = load_evaluator(trained["affine"], False)
    affine = evaluator.model.affine
    assert float(affine.log_scale.detach().abs().min()) > 0
    z = Z[:, :2]
    with torch.no_grad():
        images = evaluator.images(z, torch.Generator())
        expected = torch.sigmoid(evaluator.model.pixel_outputs(evaluator.model.decoder(affine(z))))
    torch.testing.assert_close(images, expected)


def test_the_map_is_trained_side_by_side_as_alone(
    trained: dict[str, Path], smoke_config: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    start = trained["gauss"] / WEIGHTS
    first = run_settings(smoke_config, epochs=1, adam_epsilon=1e-4)
    second = first | {"seed": 1, "run": "second"}
    jobs = [TrainingJob(s, tmp_path / f"e{i}", start) for i, s in enumerate((first, second))]
    train_together(jobs, digits, 5)
    for number, settings in enumerate((first, second)):
        train(settings, digits, tmp_path / f"s{number}", 5, start)
        together, alone = (load_tensors(tmp_path / f"{k}{number}" / WEIGHTS)[0] for k in "es")
        for name in ("affine.location", "affine.log_scale"):
            torch.testing.assert_close(together[name], alone[name], rtol=1e-3, atol=1e-6)
