"""Seeds derived from one another, so that no two purposes share a random stream."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: The test set is binarised once, in the same way for every run of every profile.
TEST_SET_SEED = 20160206
#: Test images that share a random stream of the likelihood. An image's estimate depends on its
#: block, not on how the blocks are shared out among jobs.
LIKELIHOOD_BLOCK = 50


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose of the run with this seed.

    It does not depend on the variant, so that runs which differ in one setting
    share their random numbers as far as they can.

    >>> derive_seed(0, "training") != derive_seed(0, "evaluation")
    True
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str, device: str = "cpu") -> torch.Generator:
    """A torch generator for one purpose of the run with this seed."""
    import torch

    return torch.Generator(device).manual_seed(derive_seed(seed, purpose))
