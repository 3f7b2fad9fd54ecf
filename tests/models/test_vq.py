"""The quantiser and the objective of the VQ-VAE, each against something exact."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from convolutional_models import (
    CONVOLUTIONAL,
    PIXELCNN,
    SETTINGS,
    SHAPES,
    images,
    random,
    ready,
    vqvae,
)
from rungs.data.image_shape import ImageShape
from rungs.models.conv_vae import ConvolutionalVAE
from rungs.models.vq import VQVAE, Codebook, code_counts, code_sums, kmeans, nearest_codes
from rungs.training.optimiser import FlatParameters


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


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_squared_distances_are_summed_over_the_entries_or_averaged(update: str) -> None:
    """Against the two losses as the authors' library writes them, ``mean((z_e - e)^2)`` of everything."""
    x = images(3, 96)
    summed, averaged = (vqvae(distance=distance, update=update) for distance in ("sum", "mean"))
    quantised = averaged.quantise(averaged.encode(x))
    mean = torch.nn.functional.mse_loss(quantised.encoded, quantised.vectors)
    weight = 0.25 + (update == "gradient")
    found = [model.eval().objective(x, [], SETTINGS, 1.0) for model in (summed, averaged)]
    likelihood = float(found[1].statistics["reconstruction"]) / 96
    assert float(found[1].loss.detach() + likelihood) == pytest.approx(
        weight * float(mean), rel=1e-4
    )
    assert float(found[0].loss.detach() + likelihood) == pytest.approx(
        6 * weight * float(mean), rel=1e-4
    ), "6 entries"
    for name, value in found[0].statistics.items():
        assert torch.equal(value, found[1].statistics[name]), "what is reported does not change"


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
