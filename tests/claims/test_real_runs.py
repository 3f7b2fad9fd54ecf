"""Negative controls on evaluations of real models: untrained, exchanged, or broken afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made_runs import CLAIMS, PARTS, SIZES, part_of, size_of

from rungs.claims.core import StoredRun
from rungs.claims.verdicts import PartDecision, decide
from rungs.data.prepared import read_images
from rungs.evaluation import classifier, probe
from rungs.evaluation.probe import KINDS
from rungs.evaluation.run import Inputs, evaluate
from rungs.evaluation.subsets import drawn
from rungs.figures import vq_codebook, vq_reconstructions, vq_samples
from rungs.jobs.train import train
from rungs.models import entry
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.storage.tensors import load_tensors
from rungs.study.profile import load
from rungs.study.runs import Run
from rungs.study.settings import resolve
from rungs.tables import active_units, autoencoder, linear_probe, loglik, vq
from rungs.tables import moments as moments_table

SETTINGS = {
    "samples": 10,
    "images": 200,
    "train_images": 400,
    "unit_samples": 4,
    "chunk_rows": 1000,
    "probe_latents": [10],
    "probe_labels": [10],
}
SMALL = {
    "convolutional": {"channels": 4, "residual_blocks": 1, "residual_channels": 2, "components": 1},
    "pixelcnn": {"channels": 2, "layers": 1, "reach": 1},
}
#: variant, size, and whether it is ``trained`` for a few epochs or ``untrained``
Source = tuple[str, int, str]
Real = Callable[..., Stored]


@pytest.fixture(scope="module")
def judge(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' classifier, trained a fifth as long."""
    path = tmp_path_factory.mktemp("classifier") / "mnist5k-classifier.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 300)
        classifier.train(digits, path)
    return path


@pytest.fixture(scope="module")
def real(
    smoke_config: dict[str, Any],
    digits: Path,
    judge: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Real:
    """Evaluations of small real models."""
    cache: dict[Source, Stored] = {}
    default = load([ROOT / "config" / "config.yaml"])

    def evaluation(variant: str, size: int, state: str) -> Stored:
        key = (variant, size, state)
        if key not in cache:
            folder = tmp_path_factory.mktemp(f"{variant}-{size}-{state}")
            model = entry(default["variants"][variant]["model"])
            convolutional = "convolutional" in model.network
            config = default if convolutional else smoke_config
            spec = resolve(config, Run("mnist5k", variant, size, 0, model.axis))
            if convolutional:
                spec["network"] |= SMALL
            if spec["network"].get("prior") == "mixture":
                spec["network"]["prior_components"] = 60
            # an untrained run: one epoch with a learning rate that changes nothing
            trained = {"epochs": 2 if convolutional else 8}
            untrained = {"epochs": 1, "learning_rate": 1e-12}
            spec["training"] |= trained if state == "trained" else untrained
            train(spec, digits, folder, 5)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(probe, "MOST_DRAWS", 2)
                evaluate(Inputs(folder, digits, SETTINGS, judge if model.classifier else None))
            cache[key] = result_file.read(folder / "evaluation.h5")
        return cache[key]

    return evaluation


def decide_passed_off(
    name: tuple[str, str], evaluations: dict[str, Stored], dataset: str = "mnist5k"
) -> PartDecision:
    """Decide a part from evaluations that are passed off as three seeds of the runs that it needs, which
    a continuation did not change."""
    claim, part = name
    runs = []
    for need_name, need in PARTS[name].needs.items():
        found = evaluations[need_name]
        for seed in range(3):
            settings = found.attributes["run"] | {
                "dataset": dataset,
                "variant": need.variant,
                "axis": need.sizes.axis,
                "size": size_of(need),
                "seed": seed,
            }
            stored = Stored(found.path, found.arrays, {"run": settings})
            runs.append(StoredRun(stored, stored, stored))
    return part_of(decide(CLAIMS[claim], dataset, runs), part)


GAUSS: Source = ("gauss", 10, "trained")
RANDOM: Source = ("gauss", 10, "untrained")
LADDER: Source = ("lvae-bn-wu", 5, "untrained")
#: part -> the runs on which it must not hold, by name in the part
CONTROLS: dict[tuple[str, str], dict[str, Source]] = {
    # the shallow run is untrained: the deep one is far better
    ("ladder.1", "gain"): {"new": ("vae", 5, "trained"), "old": ("vae", 2, "untrained")},
    # the improved run is untrained
    ("ladder.2", "gain"): {"new": ("vae-bn", 5, "untrained"), "old": ("vae", 5, "trained")},
    ("ladder.3", "gain"): {"new": ("vae-bn", 5, "untrained"), "old": ("vae-bn", 5, "trained")},
    ("ladder.4", "difference"): {"new": LADDER, "old": ("vae-bn", 5, "trained")},
    # an untrained ladder, all of whose units are active
    ("ladder.5", "active units"): {"vae": LADDER},
    ("ladder.6", "LVAE+BN+WU"): {"new": LADDER, "old": LADDER},
    ("ladder.6", "VAE+BN+WU"): {"new": LADDER, "old": LADDER},
    # both are the same run
    ("ladder.7", "accuracy"): {
        "new": ("lvae-bn-wu", 5, "trained"),
        "old": ("lvae-bn-wu", 5, "trained"),
    },
    ("ladder.8", "tightness"): {"new": LADDER, "old": ("vae-bn", 5, "trained")},
    ("mixture.1", "gain"): {"new": ("mog", 10, "untrained"), "old": GAUSS},
    ("mixture.2", "classes"): {"mixture": ("mog", 10, "untrained")},
    ("mixture.2", "confidence"): {"mixture": ("mog", 10, "untrained")},
    ("mixture.3", "difference"): {"model": ("gauss", 0, "untrained")},
    ("mixture.4", "difference"): {"new": ("gauss-mixq", 10, "untrained"), "old": GAUSS},
    ("mixture.6", "over the mixture prior alone"): {
        "new": ("mog", 10, "untrained"),
        "old": ("mog", 10, "trained"),
    },
    ("mixture.6", "over importance weighting alone"): {
        "new": ("mog", 10, "untrained"),
        "old": GAUSS,
    },
    # one and the same run
    ("mixture.7", "samples"): {"new": GAUSS, "old": GAUSS},
    ("mixture.8", "growth"): {"gauss_few": GAUSS, "gauss_many": GAUSS},
    ("mixture.8", "smaller growth"): {
        f"{prior}_{size}": GAUSS for prior in ("gauss", "mog") for size in ("few", "many")
    },
    ("vae.1", "likelihood"): {"new": RANDOM, "old": ("gauss", 2, "trained")},
    ("vae.1", "samples"): {"new": RANDOM, "old": ("gauss", 2, "trained")},
    # the same run under both names
    ("vae.2", "few latents"): {"plain": GAUSS, "vae": GAUSS},
    ("vae.2", "many latents"): {"plain": GAUSS, "vae": GAUSS},
    ("moments.5", "first step"): {"few": RANDOM, "many": RANDOM},
    ("moments.5", "second step"): {"few": RANDOM, "many": RANDOM},
    ("moments.6", "removed"): {"vae": RANDOM},
    ("moments.8", "deviation"): {"vae": RANDOM},
    ("vq.1", "VQ-VAE"): {"vq": ("vq-pixel", 64, "untrained")},
    ("vq.1", "continuous VAE"): {"vae": ("conv-vae", 4, "untrained")},
    ("vq.2", "full speed"): {"new": ("vq", 64, "untrained"), "old": ("vq", 64, "untrained")},
    ("vq.2", "a tenth"): {"new": ("vq", 64, "untrained"), "old": ("vq", 64, "untrained")},
    ("vq.2", "a hundredth"): {"new": ("vq", 64, "untrained"), "old": ("vq", 64, "untrained")},
    ("vq.3", "excess"): {"vq": ("vq", 64, "untrained"), "vae": ("conv-vae", 4, "trained")},
    ("vq.4", "quality"): {"vq": ("vq", 64, "untrained"), "vae": ("conv-vae", 4, "trained")},
}


@pytest.mark.parametrize("name", CONTROLS, ids=" ".join)
def test_negative_control(name: tuple[str, str], real: Real) -> None:
    found = decide_passed_off(
        name, {need: real(*source) for need, source in CONTROLS[name].items()}
    )
    assert found.verdict != "reproduced", found
    assert found.measured.defined, found
    assert found.basis.startswith("3 seeds"), found


def broken(evaluation: Stored, **arrays: np.ndarray) -> Stored:
    """An evaluation with some arrays replaced, ``__`` for ``/``."""
    replaced = {name.replace("__", "/"): array for name, array in arrays.items()}
    return Stored(evaluation.path, evaluation.arrays | replaced, evaluation.attributes)


def test_shuffled_labels_are_not_separated(real: Real) -> None:
    """ladder.7 on accuracies of shuffled images: no difference is found."""
    found = real("lvae-bn-wu", 5, "trained")
    order = np.random.default_rng(0).permutation(SETTINGS["images"])
    shuffled = {
        name.replace("/", "__"): array[order]
        for name, array in found.arrays.items()
        if name.endswith("knn_correct")
    }
    name = ("ladder.7", "accuracy")
    runs = {"new": found, "old": broken(found, **shuffled)}
    assert decide_passed_off(name, runs).verdict == "not reproduced"


def test_gaussian_draws_have_no_kurtosis(real: Real) -> None:
    """moments.3 on a trained run whose posterior means are exchanged for Gaussian draws."""
    found = real(*GAUSS)
    variance = found["layers/1/posterior_variance"]
    noise = np.random.default_rng(0).normal(size=variance.shape)
    gaussian = broken(
        found,
        layers__1__posterior_mean=np.sqrt(np.maximum(1 - variance.mean(0), 0)) * noise,
        layers__1__posterior_variance=np.tile(variance.mean(0), (len(variance), 1)),
    )
    decided = decide_passed_off(("moments.3", "kurtosis"), {"vae": gaussian})
    assert decided.verdict != "reproduced", decided


def test_components_that_are_one_are_seen(real: Real) -> None:
    """mixture.9 on a diagonal posterior passed off as a mixture."""
    alike = broken(real(*GAUSS), posterior__components=np.ones(SETTINGS["images"]))
    name = ("mixture.9", "components in use")
    assert decide_passed_off(name, {"model": alike}).verdict == "not reproduced"


def test_a_decoder_that_owes_nothing_to_its_codes_is_seen(real: Real) -> None:
    """vq.1 on a trained decoder that is always given the codes of another image."""
    found = real("vq-pixel", 64, "trained")
    name = ("vq.1", "VQ-VAE")
    plain = decide_passed_off(name, {"vq": found})
    shuffled = decide_passed_off(
        name, {"vq": broken(found, test__reconstruction=found["test/swapped"])}
    )
    assert "test/mse" not in found.arrays
    assert plain.measured.value > 0
    assert shuffled.measured.value == pytest.approx(0)
    assert shuffled.verdict == "not reproduced"


# --- what else rests on these evaluations -------------------------------------------------------


def test_the_classifier_knows_the_digits(judge: Path, digits: Path) -> None:
    assert float(load_tensors(judge)[1]["accuracy"]) > 0.9
    found = classifier.Classifier.read(judge)
    x = torch.from_numpy(read_images(digits, "test")).flatten(1).float() / 255
    assert found.features(x).shape == (1000, classifier.FEATURES)
    torch.testing.assert_close(found.probabilities(x).sum(1), torch.ones(1000))


def files_of(*evaluations: Stored) -> dict[str, list[Path]]:
    paths = [evaluation.path for evaluation in evaluations]
    return {"training": [p.with_name("training.h5") for p in paths], "evaluation": paths}


def test_the_table_of_the_vq_vae(real: Real) -> None:
    files = files_of(real("vq", SIZES["codes"][0], "trained"), real("conv-vae", 4, "trained"))
    made = vq.make(files)
    contract = "dataset variant codes code_dim compression reconstruction_mse codebook_loss"
    contract += " commitment_loss codes_used perplexity prior_nats_per_code bits_per_dim"
    assert set(contract.split()) <= set(made.columns)
    row, other = (made.iloc[i] for i in range(2))
    assert row["compression"] == pytest.approx(784 * 8 / (49 * 6))
    assert row["prior_nats_per_code"] == pytest.approx(math.log(64))  # uniform here
    evaluation = result_file.read(files["evaluation"][0])
    bits = -evaluation["test/lk"].mean() / (784 * math.log(2))
    assert row["bits_per_dim"] == pytest.approx(bits)
    pictures = [evaluation[f"pictures/{n}"] / 255 for n in ("originals", "reconstructions")]
    errors = np.square(pictures[0] - pictures[1]).mean(1)
    shown = evaluation["test/mse"][drawn(len(errors), SETTINGS["images"])]
    np.testing.assert_allclose(shown, errors, rtol=0.1)
    assert shown.mean() == pytest.approx(errors.mean(), rel=0.02)
    assert row["reconstruction_mse"] == pytest.approx(evaluation["test/mse"].mean())
    assert len(evaluation["test/mse"]) == SETTINGS["images"]
    used = np.unique(evaluation["test/codes"])
    assert (row["codes_used"], 1 <= row["perplexity"] <= len(used)) == (len(used), True)
    assert pd.isna(other["codes"])
    # L_k is a tighter bound than the ELBO
    assert other["bits_per_dim"] < other["bits_per_dim_elbo"]
    assert list(vq.make({"training": [], "evaluation": []}).columns) == list(made.columns)


def test_the_figures_of_the_vq_vae(real: Real) -> None:
    files = files_of(real("vq", 64, "trained"), real("conv-vae", 4, "trained"))
    settings = {"width": 7.0, "panel_height": 2.0, "images": 4}
    for module in (vq_reconstructions, vq_samples, vq_codebook):
        assert len(module.draw(files, settings).axes) >= 1
        assert module.draw({"training": [], "evaluation": []}, settings)


def test_the_tables_of_the_plain_autoencoder(real: Real) -> None:
    """What its tables read is there, and there is no likelihood that a table could take for one."""
    runs = [real("ae", 10, "trained"), real(*GAUSS)]
    files = files_of(*runs)
    assert "test/lk" not in runs[0].arrays
    assert len(loglik.make(files)) == 1
    assert set(active_units.make(files)["variant"]) == {"gauss"}
    found = autoencoder.make(files).set_index("variant")
    assert 0 < found.loc["ae", "mse"] < 0.1
    assert found.loc["ae", "mse"] > 0.5 * found.loc["ae", "pca_mse"]
    assert found["fitted_distance"].notna().all()
    probes = linear_probe.make(files)
    assert len(probes) == 2 * len(KINDS)
    assert set(probes["labels"]) == {100}
    rows = moments_table.make(files)
    assert len(rows) == 10
    assert set(rows["how"]) == {"exact"}
    assert {
        *("dataset", "variant", "layer", "unit", "active", "mean", "variance_of_mean"),
        *("mean_variance", "second_moment_sum", "skewness", "kurtosis", "ks_statistic"),
    } <= set(rows.columns)
