"""The generative networks that the report runs in the page: a plane of two latents, and the layers of a
hierarchy.

Both are one kind of thing: noise goes in at the top, each network but the last gives mean and variance of
the layer below, and the last gives the logits of the pixels. The script of the page mirrors
:meth:`Explored.images`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rungs.errors import StoreError
from rungs.figures import FIGURES, figure_settings
from rungs.storage.atomic import delete, write_text
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.study.runs import Run, shown_runs

if TYPE_CHECKING:
    from torch import nn

    from rungs.models.networks import MLP, Dense

#: the figures in whose place runs are explored: those that they show
EXPLORED = ("vae_manifold", "ladder_samples")
#: runs of one figure
MOST_RUNS = 2
#: draws by which the precision of the weights is chosen, and the error that a pixel may have
DRAWS, TOLERANCE = 64, 1 / 1024
#: as :mod:`rungs.models.networks` has them
SLOPE, MIN_VARIANCE = 0.01, 1e-5


@dataclass(frozen=True)
class Affine:
    """An affine layer and what follows it.

    Attributes:
        weight: ``[outputs, inputs]``.
        bias: ``[outputs]``.
        then: ``leaky``, ``tanh``, ``gated``, or nothing.
    """

    weight: np.ndarray
    bias: np.ndarray
    then: str = ""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Map ``x [n, inputs]``."""
        y = x @ self.weight.T + self.bias
        if self.then == "leaky":
            return np.where(y < 0, SLOPE * y, y)
        if self.then == "tanh":
            return np.tanh(y)
        if self.then == "gated":
            value, gate = np.split(y, 2, axis=-1)
            return value * _sigmoid(gate)
        return y


Network = tuple[Affine, ...]


@dataclass(frozen=True)
class Explored:
    """A run in the page.

    Attributes:
        shape: height and width of an image.
        units: of the latent layers, top first.
        networks: from each layer to the one below, top first; the last one gives the pixels.
        ink: whether a pixel of 1 is drawn dark, as the figures draw it.
    """

    run: str
    shape: tuple[int, int]
    units: tuple[int, ...]
    networks: tuple[Network, ...]
    ink: bool = True

    @property
    def lattice(self) -> list[float]:
        """The values of each latent on the figure's lattice, of a plane; nothing of a hierarchy."""
        from rungs.evaluation.latent_space import LATTICE, lattice

        return lattice(LATTICE).round(4).tolist() if self.units == (2,) else []

    def images(self, noise: Sequence[np.ndarray]) -> np.ndarray:
        """Return the mean images for noise ``[n, units]`` of each layer, top first: ``[n, pixels]``."""
        z = noise[0]
        for network, own in zip(self.networks, [*noise[1:], None], strict=True):
            for layer in network:
                z = layer(z)
            if own is not None:
                mean, raw = np.split(z, 2, axis=-1)
                z = mean + np.sqrt(np.logaddexp(0, raw) + MIN_VARIANCE) * own
        return _sigmoid(z)

    def half(self) -> Explored:
        """Return it with weights rounded to float16."""
        rounded = tuple(
            tuple(
                replace(a, weight=a.weight.astype(np.float16).astype(np.float32)) for a in network
            )
            for network in self.networks
        )
        return replace(self, networks=rounded)

    def to_json(self) -> dict[str, Any]:
        """Return it for the page: weights in float16 where these give the same images, else float32."""
        random = np.random.default_rng(0)
        noise = [random.normal(size=(DRAWS, units)).astype(np.float32) for units in self.units]
        half = np.abs(self.half().images(noise) - self.images(noise)).max() < TOLERANCE
        return {
            "run": self.run,
            "shape": self.shape,
            "units": self.units,
            "ink": self.ink,
            "lattice": self.lattice,
            "half": bool(half),
            "networks": [
                [
                    {
                        "inputs": affine.weight.shape[1],
                        "outputs": affine.weight.shape[0],
                        "weight": _text(affine.weight.astype("<f2" if half else "<f4")),
                        "bias": _text(affine.bias.astype("<f4")),
                        "then": affine.then,
                    }
                    for affine in network
                ]
                for network in self.networks
            ],
        }


def chosen(config: Config) -> dict[str, list[Run]]:
    """Return the runs that can be explored, by figure: those that the figure shows."""
    return {
        name: shown_runs(config, FIGURES[name].document, figure_settings(config, name))
        for name in EXPLORED
    }


def write(config: Config) -> Path:
    """Write what the page explores, from the weights of the chosen runs."""
    layout = Layout(config["profile"])
    found: dict[str, list[dict[str, Any]]] = {}
    for name, members in chosen(config).items():
        read = (_read(layout, run) for run in members)
        found[name] = [each.to_json() for each in read if each is not None][:MOST_RUNS]
    path = Path(layout.explorer)
    write_text(path, json.dumps(found, separators=(",", ":"), sort_keys=True) + "\n")
    return path


def read(config: Config) -> dict[str, list[dict[str, Any]]]:
    """Read what :func:`write` has written.

    Raises:
        StoreError: if it is missing or damaged, or if an older version made it.
    """
    path = Path(Layout(config["profile"]).explorer)
    if not path.is_file():
        raise StoreError(f"{path}: is missing; make it with 'rungs explorer' and the same profile.")
    try:
        found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
        explored = {name: list(found[name]) for name in EXPLORED}
        old = any("ink" not in run for members in explored.values() for run in members)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: is damaged. {delete(path)} and run the same command again."
        ) from error
    if old:
        raise StoreError(
            f"{path}: is of an older version; make it anew with 'rungs explorer' and the same profile."
        )
    return explored


def _read(layout: Layout, run: Run) -> Explored | None:
    from rungs.data import shape_of
    from rungs.evaluation.run import load_model
    from rungs.figures.pictures import is_ink

    model, settings = load_model(Path(layout.run(run)))
    shape = shape_of(settings)
    found = explore(model, run.path, shape) if len(shape) == 2 else None
    return found and replace(found, ink=is_ink(settings))


def explore(model: nn.Module, run: str, shape: Sequence[int]) -> Explored | None:
    """Return a model for the page, None if the page cannot run it: it knows Bernoulli pixels, and
    either two latents or several Gaussian layers."""
    from rungs.models.hierarchy import Hierarchy
    from rungs.models.networks import GaussianMLP
    from rungs.models.single import SingleLayerVAE
    from rungs.probability.likelihoods import Bernoulli

    size = (int(shape[0]), int(shape[1]))
    if isinstance(model, Hierarchy) and len(model.latent_sizes) > 1:
        below: list[Network] = []
        for gaussian in reversed(model.top_down):
            assert isinstance(gaussian, GaussianMLP)
            below.append(_network(gaussian.hidden, gaussian.head.affine))
        last = _network(model.decoder, model.pixel_logits)
        return Explored(run, size, tuple(reversed(model.latent_sizes)), (*below, last))
    if isinstance(model, SingleLayerVAE) and isinstance(model.likelihood, Bernoulli):
        if model.units != 2:
            return None
        first, *others = _network(model.decoder, model.pixel_outputs)
        if model.affine is not None:
            scale = (model.affine.speed * model.affine.log_scale).exp().detach().numpy()
            location = (model.affine.speed * model.affine.location).detach().numpy()
            weight = first.weight * scale
            first = replace(first, weight=weight, bias=first.bias - weight @ location)
        return Explored(run, size, (2,), ((first, *others),))
    return None


def _network(mlp: MLP, last: Dense) -> Network:
    from rungs.models.networks import ACTIVATIONS

    then = next(name for name, known in ACTIVATIONS.items() if known is mlp.activation)
    return (_affine(mlp.first, then), _affine(mlp.second, then), _affine(last))


def _affine(dense: Dense, then: str = "") -> Affine:
    """Return a dense layer with its normalisation folded in."""
    from rungs.models.networks import BATCH_NORM_EPSILON

    weight = dense.weight.detach().double()
    if dense.norm is None:
        assert dense.bias is not None, "a layer without normalisation has a bias"
        bias = dense.bias.detach().double()
    else:
        norm = dense.norm
        scale = norm.scale.detach().double() * (norm.variance.double() + BATCH_NORM_EPSILON).rsqrt()
        weight = weight * scale[:, None]
        bias = norm.shift.detach().double() - norm.mean.double() * scale
    return Affine(weight.float().numpy(), bias.float().numpy(), then)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
