"""The Python interface (docs/api.md): configurations, prepared data, and trained runs.

``import rungs`` stays light; what is named here is imported when it is used, as ``rungs.load`` and
so on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs import data
from rungs.data.binarise import binarise
from rungs.data.levels import as_levels, in_full, white_of
from rungs.data.prepared import Prepared
from rungs.errors import ConfigError, DataError, StoreError, check_known, nearest
from rungs.evaluation.evaluator import Evaluator, evaluator_of
from rungs.evaluation.run import load_model
from rungs.exchange.archive import open_archive
from rungs.exchange.archive_format import MANIFEST
from rungs.exchange.stored_configuration import configuration_of
from rungs.jobs import one_run
from rungs.jobs.one_run import GivenImages
from rungs.jobs.signals import Interrupted
from rungs.models import entry
from rungs.numerics.seeds import TEST_SET_SEED, derive_seed, generator
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study import identity
from rungs.study import profile as configuration
from rungs.study.layers import COMMON, Config, merge
from rungs.study.layout import EVALUATION, HISTORY, Layout
from rungs.study.runs import PRIOR_FOLDER, Run
from rungs.study.settings import RunSettings
from rungs.study.validation import validate

#: of the smallest kind, for the validation of settings whose run is not known yet
ANY_RUN = {"ladder": [{"datasets": ["mnist5k"], "variants": ["vae"], "depths": [1], "seeds": [0]}]}


def load_config(*profiles: Path | str) -> Config:
    """Load a configuration: profiles laid over ``config/common.yaml``; ``quick`` by default.

    Args:
        profiles: paths, or names of files in the clone's ``config/``; later ones win.

    Raises:
        ConfigError: naming the file or the key.

    Example:
        >>> config = load_config("smoke")
        >>> config["training"]["epochs"], len(config["variants"]) > 20
        (3, True)
    """
    named = {path.stem: path for path in COMMON.parent.glob("*.yaml") if path != COMMON}
    found: list[Path | str] = []
    for profile in profiles or ("quick",):
        here = Path(profile).is_file()
        if not (here or Path(profile).suffix or profile in named):
            raise ConfigError(
                f"profile {str(profile)!r} is not known{nearest(str(profile), named)}"
            )
        found.append(profile if here else named.get(str(profile), profile))
    return configuration.load(found)


def load_data(name: str, config: Config | None = None) -> Prepared:
    """Load a data set: ``train_images, train_labels, test_images, test_labels, provenance``.

    Images are uint8 ``[n, height, width]``, or ``[n, height, width, 3]``; labels are -1 where there
    are none. What ``rungs prepare`` has written below the working directory is read; otherwise the
    data set is prepared in memory.

    Args:
        name: a built-in data set, or one of the configuration's own.
        config: what is prepared is compared with what it asks for, and what is not is looked up in it; by
            default nothing is compared, and looked up in the profile ``quick``.

    Raises:
        RungsError: if there is no such data set, if its source cannot be used, or if other images or other
            settings were prepared.

    Example:
        >>> digits = load_data("mnist5k")
        >>> digits.train_images.shape, digits.test_labels[:3].dtype.kind
        ((4000, 28, 28), 'i')
    """
    _check_mapping(config)
    path = Path(Layout.data(name))
    if path.is_file():
        if config is not None:
            identity.check_prepared(config, name)
        found = result_file.read(path)
        train, test = (
            (found[f"{split}/images"], found[f"{split}/labels"]) for split in ("train", "test")
        )
        return Prepared(*train, *test, found.attributes["provenance"])
    config = load_config() if config is None else config
    return data.prepare(name, configuration.raw_data(config), path.parent / "cache", config)


def load(path: Path | str, profile: str = "quick", config: Config | None = None) -> Trained:
    """Load a trained run.

    Args:
        path: its folder, its name ``dataset/variant/depthD/seedS``, or an archive that ``rungs
            export`` wrote, which is checked and unpacked into a folder beside it.
        profile: whose run it is, for a name.
        config: a configuration of this profile; the run is compared with what it asks for.

    Raises:
        StoreError: if it is not trained, if its files are damaged or do not belong together, or if it is
            another run than the configuration asks for.
        ArchiveError: if the archive is damaged, or not to be trusted.
    """
    _check_mapping(config)
    folder = Path(path)
    if folder.suffix == ".zip":
        folder = open_archive(folder)
    if not folder.is_dir():
        try:
            folder = Path(Layout(profile).run(Run.parse(str(path))))
        except ConfigError as error:
            raise StoreError(
                f"{path}: is neither a run's folder nor a run's name, such as "
                "mnist5k/vae-bn/depth5/seed0."
            ) from error
    if config is not None:
        identity.check_trained(config, Run.parse("/".join(folder.parts[-4:])))
    model, settings = load_model(folder)
    evaluated = folder / EVALUATION
    if evaluated.is_file():
        identity.check_same_training(folder, f"rungs evaluate {settings['run']}")
    prior = folder / PRIOR_FOLDER
    return Trained(
        folder,
        model,
        settings,
        result_file.read(folder / HISTORY),
        result_file.read(evaluated) if evaluated.is_file() else None,
        load_model(prior)[0] if prior.is_dir() else None,
    )


def train(
    variant: str,
    images: str | np.ndarray,
    *,
    latent: int | None = None,
    depth: int | None = None,
    codes: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    labels: np.ndarray | None = None,
    white: float | None = None,
    layout: str | None = None,
    name: str | None = None,
    config: Config | None = None,
    profile: str = "notebook",
) -> Trained:
    """Train a variant on a data set below the working directory, and load it.

    It is the same training as the workflow's: a run of the same settings, data and code is found in its
    folder ``results/<profile>/runs/<dataset>/<variant>/<axis><size>/seed<seed>`` and not trained again, one
    that was interrupted continues. The runs that the variant continues, and the prior of codes, are trained
    before and after it.

    Args:
        variant: a key of the configuration's ``variants``, such as ``gauss``.
        images: a data set's name, or images of your own ``[n, height, width]`` or ``[n, height, width, 3]``,
            of which a fifth are drawn for testing (docs/own-data.md).
        latent, depth, codes: the size, of which each variant has one: units of its one stochastic layer,
            number of stochastic layers, or number of discrete codes.
        epochs: of the schedule; by default those of the configuration.
        labels: of the images, ``[n]`` integers or names; there may be none.
        white: the value of white in the images, where they do not tell it.
        layout: where the colours lie, ``planes`` or ``interleaved``, where the shape does not tell it.
        name: of the data set that the images become; by default one that their content gives.
        config: settings laid over the default profile, such as ``{"training": {"learning_rate": 0.002}}``, or
            a whole configuration (:func:`load_config`).
        profile: of the results.

    Raises:
        RungsError: if a name, a setting or the images cannot be used, or the training fails.
        KeyboardInterrupt: if it was interrupted; the same call continues it.
    """
    _check_mapping(config)
    asked, given = configuration.complete(config or {}), None
    of_images = {"white": white, "layout": layout}
    if isinstance(images, str):
        _refuse_of_images(of_images | {"labels": labels, "name": name})
        dataset = images
    else:
        given = GivenImages.of(_numbers(images, white), labels, name)
        dataset = given.name
        stated = {key: value for key, value in of_images.items() if value is not None}
        asked = merge(asked, {"datasets": {dataset: given.entry | stated}})
    axis, size = _size_of(asked, variant, {"latent": latent, "depth": depth, "codes": codes})
    if epochs is not None:
        asked = merge(asked, {"variants": {variant: {"training": {"epochs": epochs}}}})
    if given is not None:
        given.store()
    run = Run(dataset, variant, size, seed, axis)
    asked = configuration.of_run(asked, run, profile)
    configuration.freeze(asked, f"{Layout(profile).root}/config")
    try:
        return load(one_run.train_run(asked, run))
    except Interrupted as stopped:
        raise KeyboardInterrupt(str(stopped)) from None


def evaluate(
    run: Trained | Path | str, *, config: Config | None = None, profile: str = "quick"
) -> Stored:
    """Measure a trained run as the workflow does, in its folder; return its ``evaluation``.

    An evaluation of the same settings, data and code is found there and not made again.

    Args:
        run: what :func:`train` or :func:`load` has returned, or what :func:`load` takes.
        config: settings laid over the configuration with which the run was trained, such as
            ``{"evaluation": {"samples": 100}}``, or a whole configuration.
        profile: whose run it is, for a name.

    Raises:
        RungsError: if the run cannot be loaded, is of an archive, or is not what the configuration asks for.
    """
    _check_mapping(config)
    trained = run if isinstance(run, Trained) else load(run, profile)
    folder, named = trained.folder, Run.parse(trained.name)
    if (folder / MANIFEST).is_file():
        raise StoreError(
            f"{folder}: is an unpacked archive, which has its evaluation and is not changed; load it and "
            "use its attribute evaluation."
        )
    asked = dict(config or {})
    if "profile" not in asked:
        asked = merge(_configuration_of(folder, named), asked)
    validate(asked)
    asked = configuration.with_own_data(asked)
    one_run.evaluate_trained(asked, named, folder)
    return result_file.read(folder / EVALUATION)


def _check_mapping(config: Any) -> None:
    """Check that a configuration is one, and not the name of its file.

    Raises:
        ConfigError: if it is not.
    """
    if config is not None and not isinstance(config, Mapping):
        raise ConfigError(
            f"config= takes settings, such as rungs.load_config(...) returns, not {config!r}."
        )


def _configuration_of(folder: Path, run: Run) -> Config:
    """Return the configuration with which the run in a folder was trained: one of its profile's results or,
    where they have none, the default one."""
    try:
        return configuration_of(Path(str(folder.resolve()).removesuffix(f"/runs/{run.path}")), run)
    except StoreError:
        return load_config()


def _size_of(config: Config, variant: str, given: dict[str, int | None]) -> tuple[str, int]:
    """Return axis and size of a run of a variant.

    Raises:
        ConfigError: if there is no such variant, or the size is missing or that of another axis.
    """
    # settings for one run need not suit those of the default profile
    validate(config | {"experiments": ANY_RUN})
    check_known(variant, config["variants"], "variants", "variant")
    axis = entry(config["variants"][variant]["model"]).axis
    size = given.pop(axis)
    others = [name for name, value in given.items() if value is not None]
    if size is None or others:
        found = f"has no {others[0]}" if others else "has a size"
        raise ConfigError(f"variant {variant}: {found}; pass {axis}=, for example {axis}=2.")
    return axis, size


def _numbers(images: Any, white: float | None) -> np.ndarray:
    """Return images that can be stored.

    Raises:
        DataError: if they are no numbers ``[n, ...]``, some are masked, or white is not sure.
    """
    where = "the images given"
    array = _array(images, where)
    if array.ndim < 3 or array.dtype.kind not in "buif":
        raise DataError(
            f"{where}: have shape {array.shape} and type {array.dtype}, expected numbers [n, height, width] "
            "or [n, height, width, 3]."
        )
    white_of(array, white, where, lambda value: f"pass white={in_full(value)}")
    return array


def _refuse_of_images(given: Mapping[str, Any]) -> None:
    """Refuse options of images where a data set is named.

    Raises:
        ConfigError: naming the option.
    """
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option}= belongs to images that are given as an array; leave it out, or state it in the "
                "configuration's datasets."
            )


@dataclass(frozen=True, repr=False)
class Trained:
    """A trained run, as :func:`train` and :func:`load` return it.

    Images go in as bytes, bits of any type, or floats from 0 to 1, ``[n, *shape]``, grey ones also as
    ``[n, pixels]``; ``white`` states the value of white where they do not tell it, as for one's own data
    (:mod:`rungs.data.levels`). They come out as float32 from 0 to 1 of that shape. Models of bits see
    images binarised, by draws that depend on the image alone (black and white pixels stay what they are),
    all others see intensities.

    Attributes:
        folder: where its files are.
        model: the torch module, in test mode, on the CPU (:mod:`rungs.models.protocol`).
        settings: its resolved settings (:func:`rungs.study.settings.resolve`).
        history: statistics of every epoch, such as ``history["elbo"]``.
        evaluation: what was measured on it, such as ``evaluation["test/lk"]``; None before that.
        prior: the prior that was learnt over its codes, if it has codes.
    """

    folder: Path
    model: Any
    settings: RunSettings
    history: Stored
    evaluation: Stored | None
    prior: Any = None

    def __repr__(self) -> str:
        """Return a line: the run, its size, and whether it was evaluated."""
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        done = "evaluated" if self.evaluation is not None else "not evaluated"
        return f"<Trained {self.name}: {weights:,} parameters, {done}>"

    @property
    def name(self) -> str:
        """``dataset/variant/<axis><size>/seed<seed>``."""
        return str(self.settings["run"])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an image, ``(height, width)`` or ``(height, width, 3)``."""
        return data.shape_of(self.settings)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return evaluator_of(self.model, self.settings, self.prior)

    @torch.no_grad()
    def sample(self, count: int = 16, seed: int = 0) -> np.ndarray:
        """Return mean images of draws from the prior (draws, where the decoder is autoregressive).

        A plain autoencoder has no prior: its codes are drawn from N(0, I).

        Raises:
            ConfigError: if count is not positive.
        """
        if _is_no_count(count):
            raise ConfigError(f"count = {count}: at least one sample is drawn.")
        drawn = self._evaluator.draw(count, generator(seed, "samples"))
        flat = self._evaluator.images(drawn, generator(seed, "pictures"))
        return self._shaped(flat)

    @torch.no_grad()
    def encode(
        self, images: np.ndarray, seed: int = 0, white: float | None = None
    ) -> list[np.ndarray]:
        """Return the posterior means of every stochastic layer, bottom first, ``[n, units]`` each.

        With several layers each is conditioned on a draw of its neighbour, which depends on the image and
        ``seed`` alone. A VQ-VAE has codes ``[n, positions]``.
        """
        return [mean.numpy() for mean, _ in self._latents(images, seed, white)]

    @torch.no_grad()
    def decode(self, latents: np.ndarray, seed: int = 0) -> np.ndarray:
        """Return mean images of latents ``[n, units]`` of the bottom layer, or of codes.

        Where the decoder is autoregressive, each is a draw that depends on these latents and ``seed`` alone.

        Raises:
            DataError: if they are not finite numbers of that shape, or no codes of the model.
        """
        given = _array(latents, f"run {self.name}, the latents given")
        units = self._evaluator.draw(1, generator(seed, "samples")).shape[1]
        coded = self._evaluator.latent_dtype == torch.long
        if given.shape[1:] != (units,) or given.dtype.kind not in ("iu" if coded else "iuf"):
            raise DataError(
                f"run {self.name}: latents of shape {given.shape} and type {given.dtype}, expected "
                f"{'codes' if coded else 'numbers'} [n, {units}]."
            )
        if not np.isfinite(given).all():
            raise DataError(f"run {self.name}: the latents given are not all finite.")
        if coded and given.size and not 0 <= given.min() <= given.max() < self.model.code_count:
            raise DataError(
                f"run {self.name}: codes from {given.min()} to {given.max()}; it has those from 0 to "
                f"{self.model.code_count - 1}."
            )
        kind = np.int64 if coded else np.float32
        return self._pictures(torch.from_numpy(np.ascontiguousarray(given, dtype=kind)), seed)

    @torch.no_grad()
    def reconstruct(
        self, images: np.ndarray, seed: int = 0, white: float | None = None
    ) -> np.ndarray:
        """Return mean images given a draw of each image's latents, which depends on it and ``seed`` alone."""
        return self._pictures(self._latents(images, seed, white)[0][1], seed)

    @torch.no_grad()
    def log_likelihood(
        self, images: np.ndarray, k: int = 100, seed: int = 0, white: float | None = None
    ) -> np.ndarray:
        """Return the bound L_k of every image (Burda et al. 2016), float64 ``[n]``, nats.

        It rises with k to ``log p(x)``. For a VQ-VAE, whose posterior is one code a position, it is
        ``log p(x, codes)`` for every k.

        The draws depend on the image, ``k`` and ``seed``: an image has the same bound alone, among others
        and in any order. The stored evaluation's draws are others, so its ``test/lk`` agrees within the
        noise of the estimate, not image for image.

        Raises:
            ConfigError: if the model has no likelihood, or k is not positive.
        """
        if _is_no_count(k):
            raise ConfigError(f"k = {k}: the bound needs at least one sample.")
        x = self._input(images, white)
        bounds = np.empty(len(x))
        for i, image in enumerate(x):
            # by itself, so that not even the rounding depends on its neighbours
            own_seed = derive_seed(seed, f"likelihood/{k}/{_digest(image)}")
            bounds[i] = self._evaluator.bound(image[None], k, own_seed).item()
        return bounds

    def _input(self, images: np.ndarray, white: float | None) -> Tensor:
        """Return images ``[n, pixels]`` as the model takes them."""
        array = _array(images, f"run {self.name}, the images given")
        # rows of colours could be planes or interleaved
        rows = [self.shape, (math.prod(self.shape),)] if len(self.shape) == 2 else [self.shape]
        if array.shape[1:] not in rows or array.dtype.kind not in "buif":
            raise DataError(
                f"run {self.name}: images of shape {array.shape} and type {array.dtype}, expected numbers "
                f"[n, {', '.join(map(str, self.shape))}]."
            )
        where = f"run {self.name}, the images given"
        white = white_of(array, white, where, lambda value: f"pass white={in_full(value)}")
        flat = torch.from_numpy(np.ascontiguousarray(as_levels(array, white))).flatten(1)
        return self._as_input(flat)

    def _as_input(self, levels: Tensor) -> Tensor:
        """Return images uint8 ``[n, pixels]`` as the model takes them, each whatever the others are."""
        if not self.model.binary:
            return levels.float() / 255
        bits = torch.empty(levels.shape)
        for i, image in enumerate(levels):
            bits[i] = binarise(image, generator(TEST_SET_SEED, f"image/{_digest(image)}"))
        return bits

    def _latents(
        self, images: np.ndarray, seed: int, white: float | None
    ) -> list[tuple[Tensor, ...]]:
        """Return mean and draw of the latents of every layer, those of an image whatever the others are."""
        x = self._input(images, white)
        # one by one, so that not even the rounding depends on its neighbours; networks refuse no images at
        # all, of which those of a blank one are left out
        each = [
            self._evaluator.latents(image[None], generator(seed, f"latents/{_digest(image)}"))
            for image in (x if len(x) else torch.zeros(1, x.shape[1]))
        ]
        return [
            tuple(torch.cat(found)[: len(x)] for found in zip(*layer, strict=True))
            for layer in zip(*each, strict=True)
        ]

    def _pictures(self, latents: Tensor, seed: int) -> np.ndarray:
        """Return images ``[n, *shape]`` of the bottom layer's latents, each whatever the others are."""
        each = [
            self._evaluator.images(row[None], generator(seed, f"pictures/{_digest(row)}"))
            for row in latents
        ]
        return self._shaped(torch.cat(each) if each else torch.empty(0, math.prod(self.shape)))

    def _shaped(self, flat: Tensor) -> np.ndarray:
        """Return images ``[n, *shape]`` float32 of ``[n, pixels]``."""
        return np.asarray(flat.reshape(-1, *self.shape).float().numpy())


def _is_no_count(value: Any) -> bool:
    """Whether a value is no whole number from 1."""
    return isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1


def _array(values: Any, where: str) -> np.ndarray:
    """Return what is given as an array: arrays, tensors and lists of them.

    Raises:
        DataError: if it is none, or some of its values are masked.
    """
    if np.ma.is_masked(values):
        raise DataError(f"{where}: some values are masked; fill them: images.filled(0).")
    try:
        if isinstance(values, Tensor):
            return np.asarray(values.detach().cpu().numpy())
        return np.asarray(values)
    except Exception as error:  # ragged lists, types that NumPy does not have
        raise DataError(f"{where}: are no array ({error}).") from error


def _digest(image: Tensor) -> str:
    """A name for the content of an image, or of latents."""
    return hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()
