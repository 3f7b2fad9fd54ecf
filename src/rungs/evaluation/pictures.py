"""Pictures that an evaluation stores: samples and reconstructions, as bytes.

==============================  ====================================================================
array                           content
==============================  ====================================================================
``pictures/samples``            mean images of draws from the prior, uint8 ``[pictures, pixels]``
``pictures/originals``          some test images as the model takes them, likewise
``pictures/reconstructions``    their mean images given one draw of the latents, likewise
==============================  ====================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation.definitions import PICTURES
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.study.settings import RunSettings


def as_bytes(images: Tensor) -> np.ndarray:
    """Round images with intensities from 0 to 1 to uint8."""
    return np.asarray((255 * images).round().byte().numpy())


@torch.no_grad()
def picture_arrays(
    model: LatentVariableModel, settings: RunSettings, originals: Tensor
) -> dict[str, Any]:
    """Return the pictures of a model; ``originals [pictures, pixels]`` are some of the test images."""
    random = generator(settings["seed"], "pictures")
    latents = model.generate(draw_noise(noise_sizes(model), PICTURES, generator=random))
    noise = draw_noise(noise_sizes(model), len(originals), generator=random)
    layers = model.draw(model.encode(originals), noise)
    return {
        "pictures/samples": as_bytes(model.decode(latents[0])),
        "pictures/originals": as_bytes(originals),
        "pictures/reconstructions": as_bytes(model.decode(layers[0].sample)),
    }
