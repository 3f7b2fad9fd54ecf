"""Estimates of costs: counted exactly, and of the measured order of magnitude."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import flop_counter

from rungs.data import DATASETS, DatasetEntry
from rungs.evaluation import classifier, fine_tuning, probe
from rungs.jobs import cost
from rungs.jobs.train import train
from rungs.models import MODELS
from rungs.models.cost import BASE_MEMORY_MB, Cost, Request, convolutional, dense
from rungs.paths import ROOT
from rungs.storage.cost_file import read_seconds
from rungs.study import profile as configuration
from rungs.study.layout import EVALUATION_COST, TRAINING_COST
from rungs.study.runs import Run, all_runs, runs
from rungs.study.settings import resolve


def with_pack(config: dict[str, Any], size: int) -> dict[str, Any]:
    return config | {"compute": config["compute"] | {"pack": size}}


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return configuration.load([ROOT / "config" / "paper.yaml"])


def test_the_registry_is_asked_for_the_cost(
    paper: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new family brings its own estimate."""
    asked: list[Request] = []

    def of_a_family(request: Request) -> Cost:
        asked.append(request)
        return Cost(1, 2, 3, 4, 5)

    monkeypatch.setattr(dense, "of_a_family", of_a_family, raising=False)
    entry = replace(MODELS["lvae"], cost="rungs.models.cost.dense:of_a_family")
    monkeypatch.setitem(MODELS, "lvae", entry)
    run = Run("mnist", "lvae-bn-wu", 5, 0)
    assert cost.estimate(paper, run) == Cost(1, 2, 3, 4, 5)
    (request,) = asked
    assert request.settings["run"] == run.path
    assert (request.train_images, request.test_images, request.pixels) == (60000, 10000, 784)


@pytest.mark.parametrize("model", [name for name in MODELS if name != "code-prior"])
def test_an_estimate_needs_no_torch(model: str) -> None:
    module = MODELS[model].cost.split(":")[0]
    code = f"import sys, rungs.jobs.cost, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_costs_grow_with_what_is_asked(paper: dict[str, Any]) -> None:
    run = Run("mnist", "lvae-bn-wu", 5, 0)
    base = cost.estimate(paper, run)
    longer = copy.deepcopy(paper)
    longer["training"]["epochs"] *= 2
    assert cost.estimate(longer, run).training_seconds == pytest.approx(2 * base.training_seconds)
    more = copy.deepcopy(paper)
    more["evaluation"]["samples"] *= 2
    assert cost.estimate(more, run).evaluation_seconds > 1.9 * base.evaluation_seconds
    few = copy.deepcopy(paper)
    few["evaluation"]["refine_every"] = 10  # 5,000 samples of an image in ten, 1,000 of the others
    share = cost.estimate(few, run).evaluation_seconds / base.evaluation_seconds
    assert share == pytest.approx(0.28, abs=0.01)
    assert cost.mem_mb(1000, 2) == 2 * cost.mem_mb(1000, 1)
    assert cost.runtime_minutes(600, 2) == 2 * cost.runtime_minutes(600, 1)
    totals = cost.summarise(paper)
    assert totals["gpu_hours"] == 0
    on_gpu = cost.summarise(paper | {"compute": paper["compute"] | {"device": "cuda"}})
    assert on_gpu["gpu_hours"] > 0
    packed = cost.summarise(with_pack(paper, 20))
    assert packed["submitted_jobs"] < totals["submitted_jobs"] / 8


def test_memory_is_linear_in_the_size_of_large_images() -> None:
    """Also where labelled images are probed, and in the stages that a data set needs once."""

    def images(pixels: int, probed: bool = True) -> float:
        settings = {"axis": "latent", "size": 10 if probed else 2}
        evaluation = {"images": 1000, "train_images": 2000, "probe_latents": [10]}
        evaluation |= {"probe_labels": [10]}
        request = Request(settings, evaluation, None, 1, 0, 0, 5000, 2000, pixels, True, 0)
        return request.image_bytes

    side = 128 * 128 * 3
    assert images(2 * side) < 2 * images(side)
    assert images(side) > images(side, probed=False) > side * (4 * 5000 + 4 * 3000)
    assert images(side) < side * 8 * 3 * 8000
    # of small images the covariance counts, and images in float64
    assert images(3072) > 8 * (3072**2 + 5 * 3000 * 3072)
    few, many = (DatasetEntry("m", "t", (128, 128, 3), train, 1000) for train in (5000, 50000))
    for known in (cost.preparation_mb, cost.classifier_mb):
        assert 45000 * side * 4e-6 < known(many) - known(few) < 45000 * side * 12e-6


def test_the_classifier_of_large_images_asks_for_its_time(smoke_config: dict[str, Any]) -> None:
    """It sees as many images of any data set; 30 minutes did for 64 x 64 pixels."""
    small, large = (DatasetEntry("m", "t", (n, n, 3), 600, 200) for n in (28, 256))
    assert [cost.classifier_minutes(small, attempt) for attempt in (1, 2)] == [30, 60]
    assert cost.classifier_minutes(large, 1) > cost.classifier_seconds(large) / 60 > 60
    assert (classifier.STEPS * classifier.BATCH) == cost.CLASSIFIED
    network = classifier.Network(256, 256, 3, 4)
    counted = flop_counter.FlopCounterMode(display=False)
    with counted, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 256, 256))
    work = cost.classifier_seconds(large) * convolutional.RATE / (3 * cost.CLASSIFIED)
    assert counted.get_total_flops() / 2 == pytest.approx(work, rel=0.01)
    # one classifier of a data set, however many runs it compares
    totals = cost.summarise(smoke_config)
    alone = sum(cost.estimate(smoke_config, r).evaluation_seconds for r in runs(smoke_config))
    known = cost.classifier_seconds(DATASETS["mnist5k"])
    assert totals["evaluation_core_hours"] == pytest.approx((alone + known) / 3600)


def test_runs_side_by_side_each_take_their_memory(smoke_config: dict[str, Any]) -> None:
    """Eight runs on images of 128 x 128 x 3 took 9,096 MB, where one is estimated at 1,614."""
    one = Cost(1, 2, 1614, 4, 5)
    assert cost.together([one] * 8).memory_mb == 1614
    assert 0.8 < cost.together([one] * 9, 8).memory_mb / 9096 < 1.2
    seeds = [Run("mnist5k", "gauss", 2, seed, axis="latent") for seed in range(3)]
    codes = [Run("mnist5k", "vq", 16, seed, axis="codes") for seed in range(3)]
    ensemble = {**smoke_config, "compute": smoke_config["compute"] | {"pack": 3, "ensemble": 3}}
    alone, three = (cost.of_job(c, seeds).memory_mb for c in (smoke_config, ensemble))
    assert three - BASE_MEMORY_MB == pytest.approx(3 * (alone - BASE_MEMORY_MB))
    assert cost.of_job(ensemble, codes) == cost.of_job(smoke_config, codes)
    grid = {"datasets": ["mnist5k"], "variants": ["gauss"], "latents": [2], "seeds": [0, 1, 2]}
    peak = cost.summarise({**ensemble, "experiments": {"mixture": [grid]}})["peak_memory_mb"]
    assert peak == pytest.approx(three)


def test_the_networks_of_a_probe_are_counted(smoke_config: dict[str, Any]) -> None:
    """Each trains a copy of the encoder; of 128 x 128 x 3 pixels they take minutes, not seconds."""
    assert (fine_tuning.STEPS, fine_tuning.BATCH) == (dense.PROBE_STEPS, dense.PROBE_BATCH)
    assert (2 * probe.MOST_DRAWS, 2 * probe.SOME_DRAWS) == dense.PROBE_NETWORKS
    settings = resolve(smoke_config, Run("mnist5k", "gauss", 2, 0, axis="latent"))
    evaluation = smoke_config["evaluation"] | {"probe_latents": [2], "probe_labels": [10]}
    request = Request(settings, evaluation, None, 3, 0, 0, 600, 200, 784, True, 0)
    unprobed = replace(request, evaluation=evaluation | {"probe_latents": []})

    def seconds(pixels: int) -> float:
        with_and_without = [replace(r, pixels=pixels) for r in (request, unprobed)]
        probed, other = (dense.bottom_up(r).evaluation_seconds for r in with_and_without)
        return probed - other

    assert seconds(784) == pytest.approx(dense.PROBE_SECONDS)
    (width,) = settings["network"]["hidden_sizes"][:1]
    work = 40 * 300 * 3 * 100 * width * 128 * 128 * 3 / dense.RATE
    assert work < seconds(128 * 128 * 3) < 2 * work


def test_the_slopes_of_the_reconstruction_are_counted(smoke_config: dict[str, Any]) -> None:
    """Two draws of every training image are decoded and differentiated, for each pair and evaluation."""
    run, none = Run("mnist", "gauss", 10, 0, axis="latent"), copy.deepcopy(smoke_config)
    given = {"stationarity_latents": [10], "stationarity_pairs": 40, "probe_latents": []}
    none["evaluation"] |= given | {"stationarity_latents": []}
    none["variants"]["gauss"].pop("evaluation", None)
    some = copy.deepcopy(none)
    some["evaluation"] |= given
    added = (
        cost.estimate(some, run).evaluation_seconds - cost.estimate(none, run).evaluation_seconds
    )
    settings = resolve(some, run)
    decoder = dense.decoder_multiply_adds(settings, 784)
    encoder = sum(dense.multiply_adds(settings, 784)) - decoder
    evaluations = 2 if settings["training"]["continuation"] else 1
    assert added == pytest.approx(evaluations * 40 * 60_000 * (encoder + 4 * decoder) / dense.RATE)
    mixture = Run("mnist", "mog", 10, 0, axis="latent")
    assert cost.estimate(some, mixture) == cost.estimate(none, mixture)


@pytest.mark.parametrize(
    ("arithmetic", "variant", "depth", "images_per_second"),
    [
        ("float32", "vae", 1, 7475),
        ("float32", "vae", 1, 8180),
        ("float32", "lvae-bn-wu", 5, 5450),
        ("bfloat16", "vae", 1, 32761),
        ("bfloat16", "vae", 1, 33395),
        ("bfloat16", "lvae-bn-wu", 5, 18622),
    ],
)
def test_training_is_estimated_as_measured(
    paper: dict[str, Any], arithmetic: str, variant: str, depth: int, images_per_second: int
) -> None:
    """Rows of docs/speed.md, of the cores that the estimates are for."""
    found = cost.estimate(paper, Run("mnist", variant, depth, 0), arithmetic)
    measured = 60000 * 2400 / images_per_second
    assert 0.85 < found.training_seconds / measured < 1.15


def test_every_draw_is_counted(paper: dict[str, Any]) -> None:
    """Its products, forward and backward, and what it takes besides them."""
    one, ten = (Run("mnist", name, 3, 0) for name in ("vae-bn-wu", "vae-bn-wu-iw10"))
    less, more = (cost.estimate(paper, run).training_seconds for run in (one, ten))
    _, each = dense.multiply_adds(resolve(paper, ten), 784)
    seconds = 3 * each / dense.RATE + 784 * dense.DRAW_SECONDS
    assert more - less == pytest.approx(9 * 60000 * 2400 * seconds)


@pytest.mark.parametrize(("arithmetic", "milliseconds"), [("float32", 108.4), ("bfloat16", 21.4)])
def test_likelihoods_are_estimated_as_measured(
    paper: dict[str, Any], arithmetic: str, milliseconds: float
) -> None:
    """L_5000 of the VAE, an image, in docs/speed.md."""
    more = {**paper, "evaluation": paper["evaluation"] | {"samples": 10000}}
    run = Run("mnist", "vae", 1, 0)
    less, found = (cost.estimate(c, run, arithmetic).evaluation_seconds for c in (paper, more))
    # 10,000 images, before the continuation and after it
    assert 1e3 * (found - less) / 20000 == pytest.approx(milliseconds, rel=0.2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_evidence_took_about_as_long_as_estimated(seed: int) -> None:
    """Seed 0 had its core almost to itself. The others ran beside other work or on an older processor, and
    the clock of seed 1's training went on while it was halted."""
    evidence = ROOT / "resources" / "evidence" / "reference"
    config = configuration.load([evidence / "configuration.json"])
    run = Run("mnist", "lvae-bn-wu", 5, seed)
    rounded, full = (cost.estimate(config, run, name) for name in ("bfloat16", "float32"))

    def measured(name: str) -> float:
        return read_seconds(evidence / "runs" / run.path / name)

    limit = {0: 1.2, 1: 2, 2: 2}[seed]
    if seed != 1:
        assert 1 < measured(TRAINING_COST) / rounded.training_seconds < limit
    assert 1 < measured(EVALUATION_COST) / rounded.evaluation_seconds < limit
    # what jobs request, with its margin, would have been enough for any of them
    assert measured(TRAINING_COST) < cost.MARGIN * full.training_seconds
    assert measured(EVALUATION_COST) < full.evaluation_seconds


def test_only_products_of_dense_layers_are_faster_in_bfloat16(paper: dict[str, Any]) -> None:
    """A draw is the decoder's products at one rate and those of the top-down networks at another; a mixture's
    density stays as it is, and so do convolutions."""
    speed = dense.SPEEDS["bfloat16"]
    evaluation = {"samples": 10000, "unit_samples": 0, "train_images": 0, "images": 1}
    evaluation |= {"chunk_rows": 2000}
    settings = resolve(paper, Run("mnist", "lvae", 5, 0))
    request = Request(settings, evaluation, None, 1, 0, 0, 1, 1, 784, True, 0, "bfloat16")
    decoder, above = 512 * (64 + 512 + 784), 0
    for units, below, width in ((32, 64, 256), (16, 32, 128), (8, 16, 64), (4, 8, 32)):
        above += width * (units + width + 2 * below)
    rest = speed.pixel * (784 + 15 * 124)
    draw = decoder / speed.products + above / speed.rest + rest
    assert dense.ladder(request).evaluation_seconds == pytest.approx(10000 * draw, rel=1e-3)
    quick = configuration.load([ROOT / "config" / "quick.yaml"])
    plain, mixed = (Run("mnist5k", name, 10, 0, "latent") for name in ("gauss", "mog"))
    less, more = (cost.estimate(quick, run, "bfloat16").training_seconds for run in (plain, mixed))
    images = 4000 * 108  # of 90 epochs, and a fifth more
    assert more - less == pytest.approx(3 * images * 1000 * (2 * 10 + 8) / speed.rest)
    codes = Run("mnist5k", "vq", 64, 0, "codes")
    assert cost.estimate(quick, codes, "bfloat16") == cost.estimate(quick, codes)


def test_jobs_request_the_cost_in_float32(paper: dict[str, Any]) -> None:
    """Whatever the precision: a node without bfloat16 computes in float32."""
    rounding = {**paper, "compute": paper["compute"] | {"precision": "bfloat16"}}
    some = runs(paper)[:3]
    assert cost.of_job(rounding, some) == cost.of_job(paper, some)
    totals = cost.summarise(paper)
    assert totals == cost.summarise(rounding)
    both = [cost.estimate(paper, run, "bfloat16") for run in all_runs(paper)]
    seconds = sum(c.training_seconds + c.evaluation_seconds for c in both)
    seconds += cost.START_SECONDS * totals["submitted_jobs"]
    assert totals["core_hours_bfloat16"] == pytest.approx(seconds / 3600)
    assert totals["core_hours_bfloat16"] < totals["core_hours"]


def test_estimated_costs_are_near_the_measured(
    smoke_config: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    """Within a factor of ten on any machine: units and orders of magnitude are right."""
    import json

    run = Run("mnist5k", "lvae-bn-wu", 5, 0)
    settings = resolve(smoke_config, run)
    train(settings, digits, tmp_path, 5)
    measured = json.loads((tmp_path / "training-cost.json").read_text())
    estimated = cost.estimate(smoke_config, run)
    assert 0.1 < measured["seconds"] / estimated.training_seconds < 10
    assert torch.get_num_threads() == 1
