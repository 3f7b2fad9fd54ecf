"""Training: what it does to a model, and that interruption changes nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rungs.cli.steps import interruptible
from rungs.data.binarise import TrainingImages
from rungs.data.prepared import read_images
from rungs.errors import StoreError, TrainingError
from rungs.evaluation.convergence import converged, movement
from rungs.evaluation.run import Inputs, evaluate, load_model
from rungs.jobs import checkpoints
from rungs.jobs.signals import Interrupted
from rungs.jobs.train import train
from rungs.models.objectives import ElboTerms, elbo_loss, elbo_terms, objective_noise
from rungs.models.protocol import draw_noise, log_weights
from rungs.numerics.seeds import generator
from rungs.storage import result_file
from rungs.storage.tensors import load_tensors, load_weights, save_tensors
from rungs.study.keys import run_key
from rungs.training.optimiser import FlatParameters
from rungs.training.schedules import kl_weight
from rungs.training.trainer import Trainer

SpecOf = Callable[..., dict[str, Any]]
RESULTS = ("weights.safetensors", "training.h5")


def images(digits: Path, count: int = 600) -> torch.Tensor:
    return torch.from_numpy(read_images(digits, "train")[:count]).flatten(1)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_training_raises_the_bound(spec_of: SpecOf, digits: Path) -> None:
    trainer = Trainer(spec_of(epochs=5), images(digits), "cpu")
    for _ in range(5):
        trainer.run_epoch()
    history = trainer.history.tensors()
    elbo, kl = history["elbo"], history["units/kl"]
    assert elbo[-1] > elbo[0] + 50
    assert kl.shape == (5, sum(trainer.model.latent_sizes))
    expected = float(history["reconstruction"][-1] - kl[-1].sum())
    assert float(elbo[-1]) == pytest.approx(expected)


def test_a_step_is_adams(spec_of: SpecOf, digits: Path) -> None:
    """Flat parameters, clipping and the fused optimiser against plain torch, one epoch."""
    spec = spec_of("vae", 2, epochs=1, batch_size=200, max_gradient_norm=1.0)
    trainer = Trainer(spec, images(digits), "cpu")
    plain = Trainer(spec, images(digits), "cpu").model
    for parameter in plain.parameters():
        parameter.grad = None
        parameter.data = parameter.data.clone()
    settings = spec["training"]
    optimiser = torch.optim.Adam(
        plain.parameters(), lr=settings["learning_rate"], eps=settings["adam_epsilon"]
    )
    random = generator(0, "training")
    inputs = TrainingImages(images(digits), binary=True)
    inputs.begin_epoch(random)
    order = torch.randperm(600, generator=random)
    for chosen in order.split(200):
        x = inputs.batch(chosen)
        optimiser.zero_grad()
        noise = objective_noise(plain.latent_sizes, len(x), random)
        elbo_loss(elbo_terms(plain, x, noise)).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        torch.nn.utils.clip_grad_value_(plain.parameters(), settings["max_gradient_element"])
        optimiser.step()
    trainer.run_epoch()
    for found, expected in zip(trainer.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_flat_parameters_are_views() -> None:
    module = torch.nn.Linear(3, 5)
    before = [p.detach().clone() for p in module.parameters()]
    flat = FlatParameters(module)
    for parameter, old in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
    flat.take_gradients(module(torch.ones(2, 3)).sum())
    assert float(flat.gradients.sum()) == pytest.approx(2 * 3 * 5 + 2 * 5)
    flat.values.zero_()
    assert float(module.weight.detach().abs().sum()) == 0


def test_the_same_run_gives_the_same_bytes(spec_of: SpecOf, digits: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(spec_of(epochs=2), digits, tmp_path / name, 5)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    other = spec_of(epochs=2) | {"seed": 1}
    train(other, digits, tmp_path / "c", 5)
    assert contents(tmp_path / "c") != contents(tmp_path / "a")


def start(folder: Path, spec: dict[str, Any], digits: Path) -> subprocess.Popen[str]:
    """Train in a process of its own, a checkpoint every epoch."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from rungs.jobs.signals import Interrupted; from rungs.jobs.train import train\n"
        "try: train(json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), 1e-9)\n"
        "except Interrupted as stopped: print(stopped); sys.exit(75)\n"
    )
    arguments = [json.dumps(spec), str(digits), str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path, newer_than: int = 0) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list(folder.glob("checkpoint-*.safetensors"))
        if found and found[0].stat().st_mtime_ns > newer_than:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("no checkpoint appeared")


@pytest.mark.parametrize("variant", ["lvae-bn-wu", "vae"])
def test_a_killed_run_ends_where_an_undisturbed_one_ends(
    variant: str, spec_of: SpecOf, digits: Path, tmp_path: Path
) -> None:
    """A real SIGKILL, twice, at whatever moment; then the same bytes."""
    spec = spec_of(variant, epochs=12)
    train(spec, digits, tmp_path / "whole", 5)
    folder, newest = tmp_path / "killed", 0
    for _ in range(2):
        process = start(folder, spec, digits)
        wait_for_checkpoint(process, folder, newest)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "training.h5").exists()
        (checkpoint,) = folder.glob("checkpoint-*.safetensors")
        newest = checkpoint.stat().st_mtime_ns
    process = start(folder, spec, digits)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "resumed after epoch" in errors
    assert contents(folder) == contents(tmp_path / "whole")
    assert not list(folder.glob("checkpoint-*"))


def test_a_terminated_run_saves_itself(spec_of: SpecOf, digits: Path, tmp_path: Path) -> None:
    spec = spec_of(epochs=2000)
    process = start(tmp_path, spec, digits)
    wait_for_checkpoint(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert "the same command continues it" in output
    tensors, metadata = load_tensors(next(tmp_path.glob("checkpoint-*")))
    assert metadata["key"] == run_key(spec, digits)
    assert f"epoch {len(tensors['history/elbo'])}/2000" in output


def test_a_checkpoint_of_another_key_is_not_used(
    spec_of: SpecOf, digits: Path, tmp_path: Path
) -> None:
    trainer = Trainer(spec_of(epochs=3), images(digits), "cpu")
    trainer.run_epoch()
    checkpoints.save(trainer, tmp_path, "one")
    other = Trainer(spec_of(epochs=3), images(digits), "cpu")
    with pytest.raises(StoreError, match="other settings, code or data"):
        checkpoints.load(other, checkpoints.checkpoint(tmp_path, "one"), "another")


def test_the_key_knows_settings_data_and_start(
    spec_of: SpecOf, digits: Path, tmp_path: Path
) -> None:
    data = result_file.read(digits)
    changed = data.arrays | {"train/images": data["train/images"][::-1]}
    result_file.write(tmp_path / "other.h5", changed, data.attributes)
    (tmp_path / "start").write_bytes(b"weights")
    keys = {
        run_key(spec_of(epochs=3), digits),
        run_key(spec_of(epochs=4), digits),
        run_key(spec_of(epochs=3), tmp_path / "other.h5"),
        run_key(spec_of(epochs=3), digits, tmp_path / "start"),
    }
    assert len(keys) == 4
    assert run_key(spec_of(epochs=3), digits) in keys


@pytest.mark.parametrize("damage", ["garbage", "truncated", "incomplete"])
def test_a_damaged_checkpoint_starts_the_run_anew(
    damage: str,
    spec_of: SpecOf,
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = spec_of(epochs=2)
    train(spec, digits, tmp_path / "whole", 5)
    folder = tmp_path / "damaged"
    folder.mkdir()
    key = run_key(spec, digits)
    path = folder / f"checkpoint-{key}.safetensors"
    if damage == "incomplete":
        save_tensors(path, {"parameters": torch.zeros(3)}, {"key": key})
    else:
        trainer = Trainer(spec, images(digits), "cpu")
        trainer.run_epoch()
        checkpoints.save(trainer, folder, key)
        content = path.read_bytes()
        path.write_bytes(b"not safetensors" if damage == "garbage" else content[:-100])
    train(spec, digits, folder, 5)
    assert "not used" in capsys.readouterr().err
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_loss_that_is_not_finite_names_run_epoch_and_remedy(
    spec_of: SpecOf, digits: Path
) -> None:
    trainer = Trainer(spec_of("vae", 2, epochs=3), images(digits), "cpu")
    trainer.run_epoch()
    with torch.no_grad():
        trainer.parameters.values[0] = math.nan
    with pytest.raises(TrainingError, match=r"vae/depth2/seed0.*epoch 2.*learning_rate"):
        trainer.run_epoch()


def test_weights_of_another_model_are_refused(
    spec_of: SpecOf, digits: Path, tmp_path: Path
) -> None:
    train(spec_of(epochs=1), digits, tmp_path, 5)
    model, spec = load_model(tmp_path)
    assert spec == spec_of(epochs=1)
    save_tensors(tmp_path / "other", torch.nn.Linear(2, 2).state_dict(), {})
    with pytest.raises(StoreError, match="another model"):
        load_weights(model, tmp_path / "other")  # type: ignore[arg-type]


def test_evaluation_of_a_trained_run(spec_of: SpecOf, digits: Path, tmp_path: Path) -> None:
    train(spec_of(epochs=2), digits, tmp_path, 5)
    settings = {
        "samples": 20,
        "images": 60,
        "train_images": 60,
        "unit_samples": 4,
        "chunk_rows": 300,
    }
    evaluate(Inputs(tmp_path, digits, settings))
    first = (tmp_path / "evaluation.h5").read_bytes()
    found = result_file.read(tmp_path / "evaluation.h5")
    assert found["test/lk"].shape == (60,)
    assert np.all(found["test/lk"] >= found["test/elbo"] - 1e-9)
    assert np.all((found["test/ess"] >= 1 - 1e-9) & (found["test/ess"] <= 20 + 1e-9))
    assert [len(kl) for kl in found.layers("kl")] == [8, 4]
    evaluate(Inputs(tmp_path, digits, settings))
    assert (tmp_path / "evaluation.h5").read_bytes() == first
    cost = json.loads((tmp_path / "training-cost.json").read_text())
    assert cost["seconds"] > 0


def bound_by_hand(model: Any, x: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
    """``log (1/k) sum_i w_i``, draw by draw, from log-weights of single draws."""
    weights = [
        log_weights(model, x, model.draw(model.encode(x), [n[i] for n in noise]))
        for i in range(len(noise[0]))
    ]
    return torch.stack(weights).exp().mean(0).log()


@pytest.mark.parametrize("variant", ["vae", "lvae-bn-wu"])
def test_the_importance_weighted_objective(variant: str, spec_of: SpecOf, digits: Path) -> None:
    """Value and gradient of the objective with 2 x 3 draws against the definition, in test mode
    and float64; with one importance sample it is the ELBO."""
    trainer = Trainer(spec_of(variant), images(digits, 60), "cpu")
    trainer.finish()
    model: Any = trainer.model.double()
    # images of few pixels' evidence keep the plain exponential in range
    x = torch.zeros(3, 784, dtype=torch.float64)
    with torch.no_grad():
        model.pixel_logits.weight.mul_(0.01)
        model.pixel_logits.bias.fill_(-6.0)

    def noise() -> list[torch.Tensor]:
        random = torch.Generator().manual_seed(8)
        return [n.double() for n in draw_noise(model.latent_sizes, 2, 3, 3, generator=random)]

    settings = {"monte_carlo_samples": 2, "importance_samples": 3}
    found = model.objective(x, noise(), settings, 1.0).loss
    expected = -torch.stack(
        [bound_by_hand(model, x, [n[m] for n in noise()]) for m in (0, 1)]
    ).mean()
    torch.testing.assert_close(found, expected)
    parameters = [p for p in model.parameters() if p.requires_grad]
    one = torch.autograd.grad(found, parameters, allow_unused=True)
    two = torch.autograd.grad(expected, parameters, allow_unused=True)
    for a, b in zip(one, two, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_monte_carlo_samples_average_the_elbo(spec_of: SpecOf, digits: Path) -> None:
    trainer = Trainer(spec_of("vae"), images(digits, 200), "cpu")
    model: Any = trainer.model
    x = (images(digits, 100) > 127).float()
    with torch.no_grad():

        def terms(seed: int, draws: int = 1) -> ElboTerms:
            random = torch.Generator().manual_seed(seed)
            return elbo_terms(model, x, objective_noise(model.latent_sizes, 100, random, draws))

        many = terms(0, 400)
        single = [float(elbo_loss(terms(seed))) for seed in range(100)]
    assert many.kl.shape == (400, 1, 100, 12)
    error = np.std(single) / 10
    assert float(elbo_loss(many)) == pytest.approx(np.mean(single), abs=5 * error)


@pytest.mark.parametrize("samples", [{"monte_carlo_samples": 3}, {"importance_samples": 3}])
def test_fine_tuning_starts_where_the_other_run_ended(
    samples: dict[str, int], spec_of: SpecOf, digits: Path, tmp_path: Path
) -> None:
    train(spec_of(epochs=4), digits, tmp_path / "first", 5)
    start = tmp_path / "first" / "weights.safetensors"
    spec = spec_of("lvae-bn-wu-iw10", epochs=2, learning_rate=1e-12, **samples)
    train(spec, digits, tmp_path / "second", 5, start)
    before, after = (load_tensors(p)[0] for p in (start, tmp_path / "second/weights.safetensors"))
    for name, tensor in before.items():
        if not name.endswith((".mean", ".variance")):
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-6)
    first, second = (
        result_file.read(tmp_path / f / "training.h5")["elbo"] for f in ("first", "second")
    )
    assert second[0] > first[-1] - 5


def test_warm_up() -> None:
    assert kl_weight(0, False, 10) == 1
    assert [kl_weight(e, True, 10) for e in (0, 5, 10, 100)] == [0, 0.5, 1, 1]


def test_convergence_is_the_movement_over_the_last_tenth() -> None:
    def of(elbo: np.ndarray) -> result_file.Stored:
        return result_file.Stored(Path(), {"elbo": elbo}, {})

    rising = np.linspace(-200, -100, 100)
    assert movement(rising) == pytest.approx(10 * 100 / 99)
    assert not converged(of(rising))
    settled = np.concatenate([rising, np.full(100, -100.0)])
    assert converged(of(settled + np.random.default_rng(0).normal(0, 0.1, 200)))
    assert not converged(of(np.full(19, -100.0))), "too short to tell"


def test_a_time_limit_saves_and_stops(
    spec_of: SpecOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When ``--minutes`` are over, the run saves itself at the end of its epoch."""
    whole = Trainer.run_epoch

    def and_the_time_is_up(self: Trainer) -> None:
        whole(self)
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(Trainer, "run_epoch", and_the_time_is_up)
    with pytest.raises(Interrupted, match="SIGALRM after epoch 1/4"):
        train(spec_of(epochs=4), digits, tmp_path, 5)
    assert len(list(tmp_path.glob("checkpoint-*.safetensors"))) == 1
    with pytest.raises(SystemExit) as stopped, interruptible(1e-6):
        time.sleep(5)
    assert stopped.value.code == os.EX_TEMPFAIL
