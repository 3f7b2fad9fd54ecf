"""A recorded step against the same step as it is written: the same bits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rungs.errors import TrainingError
from rungs.jobs.train import train
from rungs.models import entry
from rungs.models.arithmetic import set_arithmetic
from rungs.models.code_prior import pack_codes
from rungs.numerics.custom_op import opaque
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import code_prior_settings, resolve
from rungs.training import trainer as training
from rungs.training.recorded_step import Unrecordable, record
from rungs.training.trainer import RECORDED_FROM, Trainer

SettingsOf = Callable[..., dict[str, Any]]
SMOKE = configuration.load([ROOT / "config" / "smoke.yaml"])
SIZES = {"depth": 2, "latent": 2, "codes": 16}
BATCH = 20


def run_of(variant: str) -> Run:
    axis = entry(SMOKE["variants"][variant]["model"]).axis
    return Run("mnist5k", variant, SIZES[axis], 0, axis)


def both(settings: dict[str, Any], images: Tensor, epochs: int = 2) -> tuple[Trainer, Trainer]:
    """The same training as it is written, and replayed."""
    settings["training"] |= {"batch_size": BATCH, "epochs": epochs, "warm_up": True}
    written, replayed = (Trainer(settings, images, "cpu") for _ in range(2))
    written.recordable = False
    for _ in range(epochs):
        written.run_epoch()
        replayed.run_epoch()
    return written, replayed


def same(written: Trainer, replayed: Trainer) -> None:
    """A step was recorded, and made no difference."""
    assert written._recording is None
    assert replayed._recording is not None
    one, other = written.state()[0], replayed.state()[0]
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record however few steps there are."""
    monkeypatch.setattr(training, "RECORDED_FROM", 0)


@pytest.fixture(scope="module")
def images(digits: Path) -> Tensor:
    return torch.from_numpy(result_file.read(digits)["train/images"]).flatten(1)[: 2 * BATCH]


@pytest.mark.parametrize("variant", SMOKE["variants"])
def test_every_variant_is_replayed_to_the_bit(variant: str, images: Tensor) -> None:
    """Weights, Adam's moments, buffers and history of two epochs, the KL weight rising."""
    same(*both(resolve(SMOKE, run_of(variant)), images))


def test_the_prior_of_codes_is_replayed_to_the_bit() -> None:
    settings = code_prior_settings(SMOKE, run_of("vq"))
    assert settings is not None
    random = torch.Generator().manual_seed(0)
    same(*both(settings, pack_codes(torch.randint(16, (2 * BATCH, 49), generator=random))))


@pytest.mark.parametrize("variant", SMOKE["variants"])
def test_narrow_products_are_replayed_to_the_bit(variant: str, images: Tensor) -> None:
    """bfloat16, emulated where the processor has none; loss and statistics are float32."""
    settings = resolve(SMOKE, run_of(variant))
    settings["training"] |= {"batch_size": BATCH, "epochs": 1}
    written, replayed = (Trainer(settings, images, "cpu") for _ in range(2))
    written.recordable = False
    for trainer in (written, replayed):
        set_arithmetic(trainer.model, "bfloat16")
        trainer.run_epoch()
    same(written, replayed)
    x, noise = replayed.batch(0)
    found = replayed.model.objective(x, noise, replayed.recipe, 1.0)
    floats = [value for value in found.statistics.values() if value.is_floating_point()]
    assert {value.dtype for value in (found.loss, *floats)} == {torch.float32}


def test_a_short_training_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    monkeypatch.setattr(training, "RECORDED_FROM", RECORDED_FROM)
    trainer = Trainer(settings_of(batch_size=BATCH, epochs=3), images, "cpu")
    trainer.run_epoch()
    assert trainer._recording is None
    trainer = Trainer(settings_of(batch_size=BATCH, epochs=RECORDED_FROM), images, "cpu")
    trainer.run_epoch()
    assert trainer._recording is not None


def test_a_torch_without_torchscript_trains_as_the_step_is_written(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    monkeypatch.delattr(torch.jit, "CompilationUnit")
    written, replayed = both(settings_of("lvae-bn-wu"), images)
    assert replayed._recording is None
    assert replayed.unrecorded is not None
    assert "CompilationUnit" in replayed.unrecorded
    assert torch.equal(written.parameters.values, replayed.parameters.values)


def test_a_recorder_that_cannot_be_imported_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    monkeypatch.setitem(sys.modules, "rungs.training.recorded_step", None)
    written, replayed = both(settings_of("vae", 1), images)
    assert replayed.unrecorded is not None
    assert "recorded_step" in replayed.unrecorded
    assert torch.equal(written.parameters.values, replayed.parameters.values)


def test_a_trainer_imports_the_recorder_only_to_record() -> None:
    code = (
        "import sys, rungs.training.loop; sys.exit('rungs.training.recorded_step' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_reason_for_not_recording_is_reported_once_a_run(
    monkeypatch: pytest.MonkeyPatch,
    settings_of: SettingsOf,
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delattr(torch.jit, "CompilationUnit")
    train(settings_of(epochs=3), digits, tmp_path, 5)
    lines = capsys.readouterr().err.splitlines()
    assert sum("steps are not recorded (ImportError" in line for line in lines) == 1


def test_underflow_is_looked_for_in_every_step(settings_of: SettingsOf, images: Tensor) -> None:
    """The log-likelihood takes the slow way in one batch and not in the other (log_sigmoid_total)."""
    settings = settings_of("vae", 1)
    settings["training"] |= {"batch_size": BATCH, "epochs": 1}
    written, replayed = (Trainer(settings, images, "cpu") for _ in range(2))
    written.recordable = False
    for trainer in (written, replayed):
        trainer.run_epoch()
        with torch.no_grad():
            trainer.model.pixel_logits.bias.fill_(-30.0)
        trainer.model.train()
        trainer.begin_epoch()
        trainer.differentiate(*trainer.batch(0), torch.tensor(1.0))
    assert replayed._recording is not None
    assert torch.equal(written.parameters.gradients, replayed.parameters.gradients)


def test_a_loss_that_is_not_finite_is_noticed(settings_of: SettingsOf, images: Tensor) -> None:
    trainer = Trainer(settings_of("vae", 1, batch_size=BATCH, epochs=3), images, "cpu")
    trainer.run_epoch()
    assert trainer._recording is not None
    with torch.no_grad():
        trainer.model.pixel_logits.bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match="not finite"):
        trainer.run_epoch()


def test_a_step_that_cannot_be_recorded_is_computed(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    """A model, say of a package of one's own, whose objective looks at a number."""
    settings = settings_of("vae", 1, batch_size=BATCH, epochs=2)
    expected = Trainer(settings, images, "cpu")
    expected.recordable = False
    trainer = Trainer(settings, images, "cpu")
    kind = type(trainer.model)
    objective = kind.objective

    def looking(self: Any, x: Tensor, *more: Any) -> Any:
        assert float(x.sum()) > 0
        return objective(self, x, *more)

    monkeypatch.setattr(kind, "objective", looking)
    for _ in range(2):
        trainer.run_epoch()
        expected.run_epoch()
    assert trainer._recording is None
    assert not trainer.recordable
    assert torch.equal(trainer.parameters.values, expected.parameters.values)


def build_changed(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """From now on models are built and changed."""
    build = training.build_model

    def changed(*arguments: Any) -> Any:
        model = build(*arguments)
        change(model)
        return model

    monkeypatch.setattr(training, "build_model", changed)


def test_what_the_loss_does_not_depend_on_has_gradient_0(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    def with_idle(model: Any) -> None:
        model.idle = torch.nn.Parameter(torch.ones(3))

    build_changed(monkeypatch, with_idle)
    written, replayed = both(settings_of("vae", 1), images)
    same(written, replayed)
    assert torch.equal(replayed.model.idle, torch.ones(3))


def refused(
    monkeypatch: pytest.MonkeyPatch,
    settings_of: SettingsOf,
    images: Tensor,
    change: Callable[[Any], None],
) -> None:
    """A changed model trains as it is written, as if there were no recording."""
    build_changed(monkeypatch, change)
    written, replayed = both(settings_of("vae", 1), images)
    assert replayed._recording is None
    one, other = written.state()[0], replayed.state()[0]
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def with_objective(change: Callable[[Any, Tensor], None]) -> Callable[[Any], None]:
    """A model that does something more in its objective."""

    def apply(model: Any) -> None:
        objective = model.objective

        def changed(x: Tensor, *more: Any) -> Any:
            change(model, x)
            return objective(x, *more)

        model.objective = changed
        model.register_buffer("average", torch.zeros(()))

    return apply


def reassign(model: Any, x: Tensor) -> None:
    model.average = 0.9 * model.average + x.mean()


def test_a_buffer_that_is_replaced_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    refused(monkeypatch, settings_of, images, with_objective(reassign))


def branch(model: Any, x: Tensor) -> None:
    if not torch.equal(x, x + 1):
        model.average.add_(1)


def test_a_comparison_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    refused(monkeypatch, settings_of, images, with_objective(branch))


def masked(model: Any, x: Tensor) -> None:
    model.average.add_(x[x > 0.5].mean())


def test_a_mask_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    refused(monkeypatch, settings_of, images, with_objective(masked))


def in_place(model: Any, x: Tensor) -> None:
    model.average.mul_(0.9).add_(x.mean())


def test_a_buffer_that_is_changed_is_recorded(
    monkeypatch: pytest.MonkeyPatch, settings_of: SettingsOf, images: Tensor
) -> None:
    """Once a step: what recording itself does to the state is undone."""
    build_changed(monkeypatch, with_objective(in_place))
    same(*both(settings_of("vae", 1), images))


def test_strides_are_those_of_the_example() -> None:
    """Noise of one of several layers is a part of wider rows: flattened it is copied, not viewed."""

    def function(inputs: list[Tensor]) -> list[Tensor]:
        return [inputs[0].flatten() * 2]

    wide = torch.arange(20.0).reshape(4, 5)
    part, other = wide[:, :3], (wide + 1)[:, :3].clone()
    replay = record(function, [part], [other])
    assert torch.equal(replay([part])[0], part.flatten() * 2)


def some(count: int) -> list[Tensor]:
    return [torch.arange(1.0, 5.0) + number for number in range(count)]


def others(count: int) -> list[Tensor]:
    return [4 * tensor for tensor in some(count)]


def test_results_go_to_their_targets() -> None:
    def function(inputs: list[Tensor]) -> list[Tensor]:
        a, b = inputs
        outer = torch.mm(a[:, None], b[None])
        return [outer.t().t(), a * float("inf"), outer.sum(0), a + 1]

    targets = [torch.zeros(4, 4), torch.zeros(4), torch.zeros(4)]
    replay = record(function, some(2), others(2), targets)
    for inputs in (some(2), [3 * tensor for tensor in some(2)]):
        *expected, last = function(inputs)
        (found,) = replay(inputs)
        assert torch.equal(found, last)
        for target, value in zip(targets, expected, strict=True):
            assert torch.equal(target, value)


def test_inputs_are_changed_in_their_place() -> None:
    def function(inputs: list[Tensor]) -> list[Tensor]:
        a, b = inputs
        a.add_(b)
        b[1:].mul_(2)
        return [a.clone()]

    example = some(2)
    replay = record(function, example, others(2))
    assert all(torch.equal(a, b) for a, b in zip(example, some(2), strict=True))
    given, expected = some(2), some(2)
    for _ in range(2):
        assert torch.equal(replay(given)[0], function(expected)[0])
    assert all(torch.equal(a, b) for a, b in zip(given, expected, strict=True))


def test_constants_stay() -> None:
    constant = torch.tensor([1.0, -1.0, 2.0, 0.5])
    replay = record(lambda inputs: [inputs[0] * constant], some(1), others(1))
    assert torch.equal(replay(some(1))[0], some(1)[0] * constant)


@opaque("halved_until_small(Tensor x) -> Tensor")
def halved_until_small(x: Tensor) -> Tensor:
    while float(x.max()) > 1:
        x = x / 2
    return x * 1


def test_what_looks_at_numbers_is_recorded_as_one_operation() -> None:
    replay = record(lambda i: [torch.ops.rungs.halved_until_small(i[0]) + 1], some(1), others(1))
    for x in (some(1)[0], 100 * some(1)[0]):
        assert torch.equal(replay([x])[0], halved_until_small(x) + 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda inputs: [halved_until_small(inputs[0])],
        lambda inputs: [inputs[0] + torch.rand(4)],
        lambda inputs: [inputs[0] * len(inputs[0][inputs[0] > 2])],
        lambda inputs: [torch.tensor(inputs[0].tolist())],
    ],
)
def test_what_cannot_be_recorded_is_told(function: Callable[[list[Tensor]], list[Tensor]]) -> None:
    """The number of halvings, a draw of its own, a length and a copy depend on more than the inputs'
    shapes."""
    with pytest.raises(Unrecordable):
        record(function, some(1), others(1))
