"""A family of models as somebody else would add it: a linear autoencoder under the absolute error."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.evaluator import Evaluator
from rungs.evaluation.materials import Materials
from rungs.evaluation.pictures import as_bytes
from rungs.models.cost import BASE_MEMORY_MB, Cost, Request
from rungs.models.networks import Dense
from rungs.models.protocol import Objective


def cost(request: Request) -> Cost:
    """A millisecond an image and epoch."""
    images = request.train_images * request.epochs
    return Cost(
        1e-3 * images, 1e-3 * request.evaluations * request.evaluated_images, BASE_MEMORY_MB, 1.0
    )


class AbsoluteAutoencoder(nn.Module):
    """``g(f(x))``, both affine, trained by ``|x - g(f(x))|`` summed over pixels."""

    binary = False

    def __init__(self, pixels: int, latent_sizes: list[int]) -> None:
        super().__init__()
        self.latent_sizes = list(latent_sizes)
        self.encoder = Dense(pixels, latent_sizes[0], batch_norm=False)
        self.decoder = Dense(latent_sizes[0], pixels, batch_norm=False)

    def training_noise(
        self, images: int, settings: Any, generator: torch.Generator
    ) -> list[Tensor]:
        return []

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Any, kl_weight: Tensor | float
    ) -> Objective:
        loss = (self.decoder(self.encoder(x)) - x).abs().sum(-1).mean()
        return Objective(loss, {"objective": -loss.detach()})


class AbsoluteEvaluator(Evaluator):
    """Measures the absolute error; the codes have no prior but N(0, I)."""

    def arrays(self, materials: Materials) -> dict[str, Any]:
        x = materials.test.x
        random = torch.Generator().manual_seed(self.settings["seed"])
        originals = materials.test.shown(PICTURES)
        code = self.model.encoder(originals).detach()
        return {
            **self.recomputed(x, materials.evaluation),
            "pictures/originals": as_bytes(originals),
            "pictures/reconstructions": as_bytes(self.images(code, random)),
            "pictures/samples": as_bytes(self.images(self.draw(PICTURES, random), random)),
        }

    @torch.no_grad()
    def recomputed(self, x: Tensor, evaluation: Any) -> dict[str, np.ndarray]:
        error = (self.model.decoder(self.model.encoder(x)) - x).abs().sum(-1)
        return {"absolute/error": error.numpy()}

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        return torch.randn(count, self.model.latent_sizes[0], generator=random)

    def latents(self, x: Tensor, random: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        code = self.model.encoder(x)
        return [(code, code)]

    @torch.no_grad()
    def images(self, latents: Tensor, random: torch.Generator) -> Tensor:
        images: Tensor = self.model.decoder(latents).clamp(0, 1)
        return images
