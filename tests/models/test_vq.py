"""The VQ-VAE, its PixelCNN and its likelihood, each against something exact."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rungs.bench import Scale
from rungs.bench.vq import measure
from rungs.data import prepare
from rungs.data.image_shape import ImageShape
from rungs.data.prepared import Prepared
from rungs.errors import ConfigError
from rungs.evaluation.vq import evaluate
from rungs.jobs import cost
from rungs.jobs import multiply_adds as size
from rungs.jobs.packs import prior_run, train_runs
from rungs.models import build
from rungs.models.code_prior import CodePrior, pack_codes, unpack_codes
from rungs.models.conv_vae import ConvolutionalVAE
from rungs.models.convolutional import (
    Convolution,
    DoublingConvolution,
    channels_last,
    from_planes,
    to_planes,
)
from rungs.models.networks import initialise
from rungs.models.pixelcnn import GatedPixelCNN, Vertical
from rungs.models.vq import VQVAE, Codebook, code_counts, code_sums, kmeans, nearest_codes
from rungs.paths import ROOT
from rungs.probability.logistic_mixture import (
    categorical_sample,
    logistic_mixture_log_likelihood,
    logistic_mixture_mean,
    logistic_mixture_sample,
    parameters_of,
    split_parameters,
)
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.code_prior_settings import prior_spec
from rungs.study.layout import Layout
from rungs.study.runs import Run
from rungs.study.settings import evaluation_settings, resolve
from rungs.tables.moments import make as moments_table
from rungs.tables.vq import perplexity
from rungs.training.trainer import FlatParameters, Trainer

SETTINGS: dict[str, Any] = {"monte_carlo_samples": 1, "importance_samples": 1}
CONVOLUTIONAL = {"channels": 8, "residual_blocks": 1, "residual_channels": 4, "components": 2}
PIXELCNN = {"channels": 4, "layers": 2, "reach": 2}
VQ = {
    "code_dim": 6,
    "likelihood": "dimension",
    "beta": 0.25,
    "update": "gradient",
    "decay": 0.99,
    "speed": 1.0,
    "kmeans": False,
    "revive": 0,
}
SHAPES = [(8, 12), (8, 8, 3), (3, 8, 8)]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ready(model: Any) -> Any:
    initialise(model, random())
    return model


def vqvae(
    shape: tuple[int, ...] = (8, 12), decoder: str = "convolutional", codes: int = 10, **vq: Any
) -> VQVAE:
    pixels = math.prod(shape)
    return ready(  # type: ignore[no-any-return]
        VQVAE(pixels, list(shape), codes, CONVOLUTIONAL, VQ | vq, decoder, PIXELCNN)
    )


def images(count: int, pixels: int, seed: int = 0) -> Tensor:
    return (255 * torch.rand(count, pixels, generator=random(seed))).round() / 255


# --- shapes and likelihood ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_planes_are_the_images(shape: tuple[int, ...]) -> None:
    layout = ImageShape.of(shape)
    x = torch.arange(2 * layout.pixels).reshape(2, -1).float()
    planes = to_planes(x, layout)
    assert planes.shape == (2, layout.channels, layout.height, layout.width)
    assert torch.equal(from_planes(planes, layout), x)
    pixel = x.reshape(2, *shape)
    colour = pixel[0, 1, 2] if layout.channels_last or layout.channels == 1 else pixel[0, :, 1, 2]
    assert torch.equal(planes[0, :, 1, 2], colour.reshape(-1))


def test_shapes_that_are_none() -> None:
    for shape in ((28,), (30, 30), (5, 28, 28)):
        with pytest.raises(ValueError, match="images of shape"):
            ImageShape.of(shape)


@pytest.mark.parametrize("components", [1, 3])
def test_the_likelihood_sums_to_one(components: int) -> None:
    """Over the 256 levels of one pixel; extreme means and scales included."""
    levels = (torch.arange(256).double() / 255).reshape(256, 1, 1, 1)
    for scale in (0.1, 3.0, 30.0):
        shape = (1, parameters_of(1, components), 1, 1)
        parameters = scale * torch.randn(shape, generator=random(), dtype=torch.float64)
        found = logistic_mixture_log_likelihood(levels, parameters.expand(256, -1, 1, 1))
        assert bool(torch.isfinite(found).all())
        assert float(found.exp().sum()) == pytest.approx(1, abs=1e-9)


def test_two_channels_sum_to_one() -> None:
    """Channels share their component: the joint distribution sums to 1, and does not factorise."""
    # equal weights; one component dark in both channels, one bright
    parameters = (
        torch.tensor([0, 0, -0.3, -0.2, 0.3, 0.2, 0, 0, 0, 0]).double().reshape(1, 10, 1, 1)
    )
    a, b = torch.meshgrid(
        torch.arange(256).double() / 255, torch.arange(256).double() / 255, indexing="ij"
    )
    pairs = torch.stack([a.flatten(), b.flatten()], 1)[..., None, None].double()
    joint = logistic_mixture_log_likelihood(pairs, parameters.expand(len(pairs), -1, 1, 1)).exp()
    assert float(joint.sum()) == pytest.approx(1, abs=1e-9)
    table = joint.reshape(256, 256)
    assert not torch.allclose(table, table.sum(1, keepdim=True) * table.sum(0), atol=1e-6)


def test_the_likelihood_is_that_of_the_rounded_logistic() -> None:
    """Against the difference of scipy's distribution function, and its edges."""
    from scipy import stats

    parameters = torch.tensor([0.0, 0.1, 0.3]).double().reshape(1, 3, 1, 1)
    _, mean, log_scale = (p.item() for p in split_parameters(parameters, 1))
    logistic = stats.logistic(mean, math.exp(log_scale))
    for level in (0, 1, 100, 254, 255):
        x = torch.full((1, 1, 1, 1), level / 255).double()
        low = -np.inf if level == 0 else (level - 0.5) / 255
        high = np.inf if level == 255 else (level + 0.5) / 255
        expected = math.log(logistic.cdf(high) - logistic.cdf(low))
        found = float(logistic_mixture_log_likelihood(x, parameters))
        assert found == pytest.approx(expected, abs=1e-7)


def test_mean_and_samples_agree_with_the_probabilities() -> None:
    shape = (1, parameters_of(1, 3), 1, 1)
    parameters = torch.randn(shape, generator=random(3), dtype=torch.float64)
    levels = (torch.arange(256).double() / 255).reshape(256, 1, 1, 1)
    p = logistic_mixture_log_likelihood(levels, parameters.expand(256, -1, 1, 1)).exp()
    exact = float((p * levels.flatten()).sum())
    assert float(logistic_mixture_mean(parameters, 1)) == pytest.approx(exact, abs=1e-3)
    count = 200_000
    noise = torch.rand(count, 2, 1, 1, generator=random(1), dtype=torch.float64)
    drawn = logistic_mixture_sample(parameters.expand(count, -1, 1, 1), noise)
    assert torch.equal((drawn * 255).round() / 255, drawn)
    assert float(drawn.mean()) == pytest.approx(exact, abs=0.003)
    frequency = torch.bincount((drawn * 255).round().long().flatten(), minlength=256) / count
    assert float((frequency - p).abs().max()) < 5 * math.sqrt(float(p.max()) / count)


def test_categorical_samples() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0])
    drawn = categorical_sample(logits.expand(100_000, 3), torch.rand(100_000, generator=random()))
    frequency = torch.bincount(drawn, minlength=3) / 100_000
    assert torch.allclose(frequency, logits.softmax(-1), atol=0.005)
    assert int(categorical_sample(logits, torch.tensor(1.0))) == 2


# --- the quantiser ------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "codes", "dim"), [(1, 2, 1), (500, 37, 5), (200, 512, 64)])
def test_nearest_codes_against_brute_force(n: int, codes: int, dim: int) -> None:
    vectors = torch.randn(n, dim, generator=random())
    codebook = torch.randn(codes, dim, generator=random(1))
    found = nearest_codes(vectors, codebook)
    for vector, code in zip(vectors, found, strict=True):
        distances = [float((vector - e).double().square().sum()) for e in codebook]
        assert distances[int(code)] == pytest.approx(min(distances), abs=1e-5)


def test_one_hot_sums_are_sums() -> None:
    vectors = torch.randn(50, 3, generator=random())
    codes = torch.randint(0, 4, (50,), generator=random())
    counts, sums = code_sums(vectors, codes, 6)
    assert torch.equal(code_counts(codes, 6), counts)
    for code in range(6):
        assert int(counts[code]) == int((codes == code).sum())
        assert torch.allclose(sums[code], vectors[codes == code].sum(0), atol=1e-5)


PARTS = ("encoder", "codebook", "decoder")


def gradients(model: VQVAE, loss: Tensor) -> dict[str, float]:
    """The norm of the loss's gradient in each part."""
    found = {}
    for part in PARTS:
        parameters = list(getattr(model, part).parameters())
        parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        found[part] = sum(float(g.norm()) for g in parts if g is not None)
    return found


def test_each_term_teaches_what_the_paper_says() -> None:
    """Encoder: reconstruction and commitment; codebook: its own loss; decoder: reconstruction."""
    model = vqvae()
    x = images(4, 96)
    quantised = model.quantise(model.encode(x))
    terms = {
        "reconstruction": -model.decoder.log_likelihood(
            x, model.as_grid(quantised.straight_through)
        ).mean(),
        "codebook": quantised.codebook_loss,
        "commitment": quantised.commitment_loss,
    }
    reached = {
        name: {part for part, norm in gradients(model, term).items() if norm > 0}
        for name, term in terms.items()
    }
    assert reached == {
        "reconstruction": {"encoder", "decoder"},
        "codebook": {"codebook"},
        "commitment": {"encoder"},
    }
    # and the objective is these three: its gradients are their sums, a term left out is missing
    total = terms["reconstruction"] / 96 + terms["codebook"] + 0.25 * terms["commitment"]
    found = model.objective(x, [], SETTINGS, 1.0)
    assert float(found.loss) == pytest.approx(float(total), rel=1e-5)
    expected = gradients(model, total)
    assert gradients(model, found.loss) == pytest.approx(expected, rel=1e-4)
    for name, weight in (("reconstruction", 1 / 96), ("codebook", 1), ("commitment", 0.25)):
        left_out = gradients(model, total - weight * terms[name])
        changed = {part for part in PARTS if abs(left_out[part] - expected[part]) > 1e-9}
        assert changed == reached[name], name
    uncommitted = vqvae(beta=0.0)
    loss = uncommitted.objective(x, [], SETTINGS, 1.0).loss
    assert float(loss) == pytest.approx(float(total - 0.25 * terms["commitment"]), rel=1e-5)


def test_the_gradient_passes_straight_through() -> None:
    """The encoder's gradient of the reconstruction is the decoder's with respect to z_q."""
    model = vqvae()
    x = images(3, 96)
    encoded = model.encode(x).detach().requires_grad_()
    quantised = model.quantise(encoded)
    passed = quantised.straight_through
    assert torch.allclose(passed, quantised.vectors, atol=1e-6)
    likelihood = model.decoder.log_likelihood(x, model.as_grid(passed)).sum()
    direct = quantised.vectors.detach().requires_grad_()
    same = model.decoder.log_likelihood(x, model.as_grid(direct)).sum()
    (gradient,) = torch.autograd.grad(likelihood, encoded)
    (expected,) = torch.autograd.grad(same, direct)
    assert torch.allclose(gradient, expected, atol=1e-6)
    assert float(gradient.norm()) > 0


def test_the_loss_of_an_image_is_that_of_its_dimensions() -> None:
    x = images(3, 96)
    by_image, by_dimension = vqvae(likelihood="image"), vqvae()
    losses = [float(m.objective(x, [], SETTINGS, 1.0).loss) for m in (by_image, by_dimension)]
    likelihood = float(by_image.objective(x, [], SETTINGS, 1.0).statistics["reconstruction"])
    assert losses[0] - losses[1] == pytest.approx(-likelihood * (1 - 1 / 96), rel=1e-4)


def stepped(speed: float) -> tuple[Tensor, Tensor]:
    """How far one step of Adam moves the codebook, and the decoder."""
    model = vqvae(speed=speed)
    before = model.codebook.vectors().detach().clone()
    weights = model.decoder.decoder.layers[0].weight.detach().clone()
    adam = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-30)
    model.objective(images(4, 96), [], SETTINGS, 1.0).loss.backward()
    adam.step()
    moved = (model.codebook.vectors() - before).detach()
    return moved, (model.decoder.decoder.layers[0].weight - weights).detach()


def test_the_codebooks_speed() -> None:
    """Adam's first step is the learning rate in every entry that has a gradient."""
    for speed in (1.0, 0.1, 0.001):
        codebook, decoder = stepped(speed)
        used = codebook.abs().sum(-1) > 0
        assert bool(used.any())
        assert torch.allclose(
            codebook[used].abs(), torch.tensor(0.01 * speed), rtol=1e-3, atol=3e-8
        )
        assert float(decoder.abs().max()) == pytest.approx(0.01, rel=1e-3)


def test_averages_are_kmeans_on_fixed_vectors() -> None:
    """Without memory an update is Lloyd's step; with memory it ends at the same fixed point."""
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    vectors = (centres[:, None] + 0.3 * torch.randn(3, 40, 2, generator=random())).flatten(0, 1)
    start = centres + 0.5
    for decay, steps in ((0.0, 10), (0.9, 400)):
        codebook = Codebook(3, 2, "ema", 1.0, decay)
        codebook.weight.copy_(start)
        assert not list(codebook.parameters())
        for _ in range(steps):
            codebook.average(vectors, nearest_codes(vectors, codebook.vectors()))
        expected = kmeans(vectors, start)
        means = torch.stack([part.mean(0) for part in vectors.split(40)])
        assert torch.allclose(expected, means, atol=1e-6)
        assert torch.allclose(codebook.vectors(), expected, atol=1e-4)
    one = Codebook(3, 2, "ema", 1.0, 0.0)
    one.weight.copy_(start)
    one.average(vectors, nearest_codes(vectors, start))
    assert torch.allclose(one.vectors(), kmeans(vectors, start, 1), atol=1e-6)


def test_an_update_by_averages_is_the_papers() -> None:
    """N and m of the paper's appendix, kept apart, give the same codebook."""
    codebook = ready(Codebook(4, 3, "ema", 1.0, 0.8))
    counts, sums = torch.ones(4), codebook.weight.clone()
    for seed in range(6):
        vectors = torch.randn(20, 3, generator=random(seed))
        codes = nearest_codes(vectors, codebook.vectors())
        n, m = code_sums(vectors, codes, 4)
        counts, sums = 0.8 * counts + 0.2 * n, 0.8 * sums + 0.2 * m
        codebook.average(vectors, codes)
        assert torch.allclose(codebook.vectors(), sums / counts[:, None], atol=1e-5)


def test_a_code_out_of_use_stays_where_it_is() -> None:
    codebook = ready(Codebook(4, 3, "ema", 1.0, 0.1))
    before = codebook.weight[3].clone()
    for _ in range(200):
        codebook.average(torch.ones(5, 3), torch.zeros(5, dtype=torch.long))
    assert torch.allclose(codebook.weight[3], before, atol=1e-4)
    assert bool(torch.isfinite(codebook.weight).all())


def test_averages_move_only_in_training_and_are_saved() -> None:
    model = vqvae(update="ema", decay=0.5)
    before = model.codebook.vectors().clone()
    model.eval()
    model.objective(images(4, 96), [], SETTINGS, 1.0)
    assert torch.equal(model.codebook.vectors(), before)
    model.train()
    found = model.objective(images(4, 96), [], SETTINGS, 1.0)
    assert not torch.equal(model.codebook.vectors(), before)
    assert "codebook.weight" in dict(model.named_buffers())
    # the codebook's loss has nobody to teach: it is left out
    reconstruction = float(found.statistics["reconstruction"]) / 96
    commitment = 0.25 * float(found.statistics["commitment_loss"])
    assert float(found.loss) == pytest.approx(commitment - reconstruction, rel=1e-5)


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_kmeans_start_and_revival(update: str) -> None:
    model = vqvae(update=update, kmeans=True, revive=0.5, decay=0.5, speed=0.1)
    FlatParameters(model)  # parameters as views, as the training loop has them
    x = images(8, 96)
    (noise,) = model.training_noise(8, SETTINGS, random())
    rows = model.encode(x).detach()
    if model.codebook.moved is not None:  # of another run, which this one continues
        model.codebook.moved.data.fill_(7.0)
    model.objective(x, [noise], SETTINGS, 1.0)
    assert bool(model.codebook.started)
    if model.codebook.moved is not None:
        assert torch.equal(model.codebook.vectors(), model.codebook.weight)
    # a second batch does not start again
    before = model.codebook.weight.clone()
    model.codebook.start(rows + 100, noise)
    assert torch.equal(model.codebook.weight, before)
    # dead codes are put at vectors of the batch
    model.codebook.counts.copy_(torch.tensor([0.0] * 5 + [9.0] * 5))
    model.codebook.revive(rows, noise, 0.5)
    distance = torch.cdist(model.codebook.vectors(), rows).min(1).values
    assert torch.allclose(distance[:5], torch.zeros(5), atol=1e-3)
    assert torch.equal(model.codebook.weight[5:], before[5:])
    assert float(model.codebook.counts.min()) > 0.5
    # as published there is neither
    assert vqvae(update=update).training_noise(8, SETTINGS, random()) == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("decoder", ["convolutional", "pixelcnn"])
def test_any_shape_and_decoder(shape: tuple[int, ...], decoder: str) -> None:
    model = vqvae(shape, decoder)
    pixels = math.prod(shape)
    x = images(3, pixels)
    codes = model.codes(x)
    assert codes.shape == (3, math.prod(model.grid))
    assert model.log_likelihood(x, codes).shape == (3,)
    layout = ImageShape.of(shape)
    noise = torch.rand(3, 1 + layout.channels, layout.height, layout.width, generator=random())
    drawn = model.image(codes, noise if decoder == "pixelcnn" else None)
    assert drawn.shape == x.shape
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1
    vae = ready(ConvolutionalVAE(pixels, list(shape), [2], CONVOLUTIONAL, decoder, PIXELCNN))
    epsilon = torch.randn(5, 3, vae.latent_sizes[0], generator=random())
    (layer,) = vae.draw(vae.encode(x), [epsilon])
    found = vae.log_likelihood(x, layer.sample)
    assert found.shape == (5, 3)
    alone = vae.log_likelihood(x[1:2], layer.sample[4, 1:2])
    assert float(found[4, 1]) == pytest.approx(float(alone), rel=1e-4)


def test_the_uniform_bound_is_what_training_reports() -> None:
    model = vqvae()
    x = images(5, 96)
    found = model.objective(x, [], SETTINGS, 1.0).statistics
    reconstruction = float(model.log_likelihood(x, model.codes(x)).mean())
    assert float(found["reconstruction"]) == pytest.approx(reconstruction, rel=1e-5)
    assert float(found["elbo"]) == pytest.approx(reconstruction - 6 * math.log(10), rel=1e-5)
    assert float(found["code_use"].sum()) == pytest.approx(1)


def test_perplexity() -> None:
    assert perplexity(np.full(8, 0.125)) == pytest.approx(8)
    assert perplexity(np.array([1.0, 0.0])) == 1


# --- the PixelCNN -------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("reach", [1, 3])
def test_a_pixel_moves_only_what_comes_after_it(layers: int, reach: int) -> None:
    """Every pixel is perturbed in turn, and all that it may move, it does: there is no blind spot
    within the window of the first convolution. 24 channels, so that the rectifiers before the output
    cut off no change by chance."""
    height, width = 9, 8
    model = ready(GatedPixelCNN(1, 2, 24, layers, reach)).double()
    x = torch.rand(1, 1, height, width, generator=random()).double()
    base = model(x)
    for row, column in itertools.product(range(height), range(width)):
        moved = x.clone()
        moved[0, 0, row, column] += 1.0
        change = (model(moved) - base).abs().sum((0, 1)) > 0
        later = torch.arange(height * width).reshape(height, width) > row * width + column
        assert not bool((change & ~later).any()), (row, column)
        rows, columns = torch.nonzero(change, as_tuple=True)
        if len(rows):
            assert int(rows.max()) - row <= model.rows_above
            assert int((columns - column).abs().max()) <= model.columns_aside
        if column + 1 < width:
            assert bool(change[row, column + 1])
        for right, down in itertools.product(range(-reach, reach + 1), range(1, reach + 1)):
            if 0 <= column + right < width and row + down < height:
                assert bool(change[row + down, column + right]), (row, column, right, down)


def test_the_condition_is_seen_everywhere() -> None:
    model = ready(GatedPixelCNN(1, 2, 6, 2, 2, condition=3)).double()
    x = torch.rand(1, 1, 5, 5, generator=random()).double()
    condition = torch.rand(1, 3, 5, 5, generator=random(1)).double()
    base = model(x, condition)
    condition[0, 0, 2, 2] += 1
    assert bool(((model(x, condition) - base).abs().sum((0, 1)) > 0)[2, 2])


def test_sampling_sees_what_evaluation_sees() -> None:
    """The parameters at which pixels are drawn, from what is in sight alone, are those of a pass
    over the finished image."""
    model = ready(GatedPixelCNN(1, 2, 6, 2, 2, condition=3)).double()
    condition = torch.rand(2, 3, 12, 14, generator=random(1)).double()
    noise = torch.rand(2, 1, 12, 14, generator=random(2)).double()
    seen = torch.zeros(2, 2, 12, 14).double()

    def draw(parameters: Tensor, row: int, column: int) -> Tensor:
        seen[..., row : row + 1, column : column + 1] = parameters
        return noise[..., row : row + 1, column : column + 1] + parameters[:, :1]

    x = model.sample(torch.zeros(2, 1, 12, 14).double(), draw, condition)
    assert torch.allclose(model(x, condition), seen, atol=1e-12)


def test_convolutions_are_torchs() -> None:
    x = torch.randn(2, 3, 8, 8, generator=random())
    ours = ready(Convolution(3, 5, (4, 4), (1, 1), stride=2))
    theirs = nn.Conv2d(3, 5, 4, 2, 1)
    theirs.weight.data, theirs.bias.data = ours.weight.data, ours.bias.data  # type: ignore[union-attr]
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    ours = ready(DoublingConvolution(3, 5))
    back = nn.ConvTranspose2d(3, 5, 4, 2, 1)
    back.weight.data, back.bias.data = ours.weight.data, ours.bias.data  # type: ignore[union-attr]
    assert torch.allclose(ours(x), back(x), atol=1e-6)


# --- the prior ----------------------------------------------------------------------------------


def code_prior(codes: int = 3, grid: tuple[int, int] = (2, 2), dropout: float = 0.0) -> CodePrior:
    pixels = 2 * math.prod(grid)
    return ready(CodePrior(pixels, codes, list(grid), 4, 2, dropout))  # type: ignore[no-any-return]


def test_the_priors_probabilities_sum_to_one() -> None:
    """Over all 81 grids of 2x2 and 3 codes."""
    prior = code_prior()
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    p = prior.log_prob(every).double().exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    assert float(p.std()) > 1e-4, "an untrained prior is not uniform"
    # samples have these frequencies
    noise = torch.rand(20_000, 4, generator=random())
    drawn = prior.sample(noise)
    index = (drawn * torch.tensor([27, 9, 3, 1])).sum(-1)
    frequency = torch.bincount(index, minlength=81) / len(drawn)
    assert float((frequency - p).abs().max()) < 5 * math.sqrt(float(p.max()) / len(drawn))


def test_codes_travel_as_bytes() -> None:
    codes = torch.randint(0, 65536, (4, 9), generator=random())
    assert torch.equal(unpack_codes(pack_codes(codes).float() / 255), codes)


def test_dropout_hides_codes_but_predicts_them() -> None:
    prior = code_prior(dropout=0.5)
    codes = torch.tensor([[0, 1, 2, 0]])
    hidden = torch.tensor([[False] * 4])
    blind = prior.logits(codes, hidden)
    assert torch.equal(blind, prior.logits(codes.flip(1), hidden))
    packed = pack_codes(codes).float() / 255
    noise = prior.training_noise(1, SETTINGS, random())
    prior.eval()
    whole = prior.objective(packed, noise, SETTINGS, 1.0).statistics["objective"]
    assert float(whole) == pytest.approx(float(prior.log_prob(codes).detach()), rel=1e-6)


# --- the whole way ------------------------------------------------------------------------------

TINY = """
profile: tiny
experiments:
  vq:
    - {datasets: [mnist5k], variants: [vq, vq-pixel, vq-nocommit], codes: [8], seeds: [0]}
    - {datasets: [mnist5k], variants: [conv-vae], latents: [2], seeds: [0]}
network:
  convolutional: {channels: 4, residual_blocks: 1, residual_channels: 2, components: 1}
  pixelcnn: {channels: 2, layers: 1, reach: 1}
  vq: {code_dim: 2}
training: {epochs: 2}
prior: {network: {channels: 4, layers: 1}, training: {epochs: 2}}
evaluation: {samples: 4, images: 30, train_images: 20, unit_samples: 2}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A tiny profile in a working folder of its own, with 60 images."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    config = configuration.load([tmp_path / "tiny.yaml"])
    monkeypatch.chdir(tmp_path)
    whole = prepare("mnist5k", None, tmp_path)
    few = [array[:60] for array in (whole.train_images, whole.train_labels)]
    few += [array[:60] for array in (whole.test_images, whole.test_labels)]
    Prepared(*few, {}).write(Path(Layout.data("mnist5k")))
    return config


def test_a_priors_settings_are_its_own(tiny: dict[str, Any]) -> None:
    run = Run("mnist5k", "vq", 8, 0, "codes")
    spec = prior_spec(tiny, run)
    assert spec is not None
    assert spec["model"] == "code-prior"
    assert spec["network"] == {
        "channels": 4,
        "layers": 1,
        "dropout": 0.0,
        "codes": 8,
        "grid": [7, 7],
    }
    assert spec["training"]["epochs"] == 2
    trained = resolve(tiny, run)
    tiny["prior"]["training"]["epochs"] = 3
    assert resolve(tiny, run) == trained
    assert prior_spec(tiny, run) != spec
    for variant, axis in (("vq-nocommit", "codes"), ("conv-vae", "latent")):
        assert prior_spec(tiny, Run("mnist5k", variant, 8, 0, axis)) is None
    with pytest.raises(ConfigError, match="no learnt prior"):
        prior_run(tiny, Run("mnist5k", "vq-nocommit", 8, 0, "codes"), Path("x"))


@pytest.mark.parametrize("variant", ["vq", "vq-pixel", "vq-nocommit", "conv-vae"])
def test_train_prior_evaluate(tiny: dict[str, Any], variant: str) -> None:
    axis, size = ("latent", 2) if variant == "conv-vae" else ("codes", 8)
    run = Run("mnist5k", variant, size, 0, axis)
    folder, data = Path(Layout("tiny").run(run)), Path(Layout.data("mnist5k"))
    train_runs(tiny, {run: folder})
    settings = evaluation_settings(tiny, run)
    learnt = prior_spec(tiny, run) is not None
    if learnt:
        prior_run(tiny, run, folder / "prior")
        before = (folder / "prior/weights.safetensors").stat().st_mtime_ns
        prior_run(tiny, run, folder / "prior")
        assert (folder / "prior/weights.safetensors").stat().st_mtime_ns == before
        settings["prior"] = result_file.read(folder / "prior/training.h5").attributes["key"]
    evaluate(folder, data, settings)
    found = result_file.read(folder / "evaluation.h5")
    if axis == "latent":
        difference = found["test/elbo"] - (found["test/reconstruction"] - found["test/kl"])
        assert np.abs(difference).mean() < 0.1 * np.abs(found["test/elbo"]).mean()
        table = moments_table({"evaluation": [folder / "evaluation.h5"]})
        assert len(table) == 2 * 49
        assert set(table["how"]) == {"exact"}
        assert set(table["prior"]) == {"N(0, I)"}
        return
    assert found["test/codes"].shape == (30, 49)
    bound = found["test/reconstruction"] + found["test/prior"]
    np.testing.assert_allclose(found["test/lk"], bound, rtol=1e-5)
    uniform = np.allclose(found["test/prior"], -49 * math.log(8), rtol=1e-5)
    assert uniform != learnt
    assert found["pictures/samples"].shape == (36, 784)
    again = folder.parent / "again"
    evaluate(folder, data, settings, again)
    assert (again / "evaluation.h5").read_bytes() == (folder / "evaluation.h5").read_bytes()


@pytest.mark.parametrize("variant", ["vq", "vq-ema"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    tiny: dict[str, Any], variant: str
) -> None:
    """The codebook's buffers included."""
    spec = resolve(tiny, Run("mnist5k", variant, 8, 0, "codes"))
    pictures = torch.randint(0, 256, (40, 784), generator=random(), dtype=torch.uint8)

    def fresh() -> Trainer:
        return Trainer(spec, pictures, "cpu")

    whole, first, second = fresh(), fresh(), fresh()
    for trainer in (whole, whole, first):
        trainer.run_epoch()
    second.restore(*first.state())
    second.run_epoch()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("variant", "axis"),
    [("vq", "codes"), ("vq-pixel", "codes"), ("conv-vae", "latent"), ("conv-vae-pixel", "latent")],
)
def test_counted_multiply_adds(variant: str, axis: str) -> None:
    """Convolutions' multiply-adds, counted while they run; transposed ones by their input."""
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    run = Run("mnist5k", variant, 4, 0, axis)
    spec = resolve(config, run)
    model: Any = ready(build(spec["model"], 784, spec["network"]))
    counted = 0

    def count(module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        taps = module.weight.numel()
        places = inputs[0] if isinstance(module, DoublingConvolution) else output
        counted += taps * places.shape[-1] * places.shape[-2]

    for module in model.modules():
        if isinstance(module, Convolution | DoublingConvolution):
            module.register_forward_hook(count)
    x = images(1, 784)
    model.objective(x, model.training_noise(1, SETTINGS, random()), SETTINGS, 1.0)
    if axis == "codes":
        counted += 49 * spec["network"]["codes"] * spec["network"]["vq"]["code_dim"]
    assert sum(size.multiply_adds(spec)) == counted
    assert cost.estimate(config, run).training_seconds > 0


def test_counted_multiply_adds_of_the_prior() -> None:
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    spec = prior_spec(config, Run("mnist5k", "vq", 64, 0, "codes"))
    assert spec is not None
    prior: Any = build("code-prior", 98, spec["network"])
    last = f"layers.{spec['network']['layers'] - 1}.across"  # a part of the convolution before it
    weights = sum(
        module.weight.numel()
        for name, module in prior.named_modules()
        if isinstance(module, Convolution) and not name.endswith(last)
    )
    assert size.prior_multiply_adds(spec) == 49 * weights


def test_two_linear_maps_in_a_row_are_computed_as_one() -> None:
    """Value and gradients of the last layer's window and the 1x1 convolution across, row above."""
    window = ready(Vertical(3, 8, 1))
    across = ready(Convolution(8, 8, (1, 1)))
    x = torch.randn(2, 3, 12, 11, generator=random())
    parameters = [*window.parameters(), *across.parameters()]
    one = window.above(x, across)
    two = across(window(torch.nn.functional.pad(x, (0, 0, 1, -1))))
    torch.testing.assert_close(one, two)
    weights = torch.randn(one.shape, generator=random())
    found, expected = (torch.autograd.grad((y * weights).sum(), parameters) for y in (one, two))
    torch.testing.assert_close(found, expected)


def test_a_1x1_convolution_is_the_same_on_small_and_large_grids() -> None:
    convolution = ready(Convolution(5, 7, (1, 1)))
    x = torch.randn(3, 5, 30, 30, generator=random())
    large = convolution(x)
    assert large.is_contiguous(memory_format=torch.channels_last)
    small = convolution(x[..., :7, :7])
    assert small.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(small, large[..., :7, :7])


def test_one_channel_lies_channels_last_for_a_convolution() -> None:
    """By its strides, so that torch takes its kernels for that layout; the numbers are the same."""
    convolution = ready(Convolution(1, 4, (3, 3), (1, 1)))
    x = torch.randn(2, 1, 6, 5, generator=random())
    planes = channels_last(x)
    assert torch.equal(planes, x)
    assert planes.stride() == (30, 1, 5, 1)
    found = convolution(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.conv2d(x, convolution.weight, convolution.bias, padding=1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("outputs", [1, 3, 8])
def test_doubling_is_the_transposed_convolution(outputs: int) -> None:
    """Value and gradients, also of a grid that is not square."""
    convolution = ready(DoublingConvolution(5, outputs))
    x = torch.randn(2, 5, 3, 4, generator=random(), requires_grad=True)
    settings = (convolution.weight, convolution.bias, 2, 1)
    found, expected = convolution(x), torch.nn.functional.conv_transpose2d(x, *settings)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, generator=random())
    of = [x, *convolution.parameters()]
    gradients = [torch.autograd.grad((y * weights).sum(), of) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_the_benchmark_compares_the_same_codes() -> None:
    rows = [row for row in measure(Scale(repetitions=2)) if row.subject == "ours"]
    assert len(rows) == 3
    assert all(float(row.note.split()[0]) > 99.9 for row in rows)
