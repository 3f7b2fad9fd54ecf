"""The arithmetic of matrix products.

With ``compute.precision: bfloat16`` the dense layers' products round their factors to bfloat16 and
add up in float32, where the processor does so in hardware; parameters, activations, statistics and
everything else stay float32. Elsewhere float32 is used: to emulate bfloat16 gains nothing, but tells
what it does to the numbers.

Training rounds all products of dense layers; convolutions stay in float32. The estimate of a trained
model's likelihood rounds those of p(x | z_1) alone, nearly all of its work: rounding the posterior
moves the proposal, and L_k by more than it may (docs/speed.md has the numbers).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rungs.models.networks import Dense


def bfloat16_in_hardware(device: str) -> bool:
    """Whether this processor, or the GPU, multiplies bfloat16 in hardware."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def arithmetic(spec: dict[str, Any]) -> str:
    """What a run computes its products in here: ``bfloat16`` or ``float32``."""
    asked = spec["precision"] == "bfloat16"
    return "bfloat16" if asked and bfloat16_in_hardware(spec["device"]) else "float32"


def set_arithmetic(model: nn.Module, name: str) -> None:
    """Let the model's dense layers compute their products in ``bfloat16`` or ``float32``."""
    for module in model.modules():
        if isinstance(module, Dense):
            module.narrow = name == "bfloat16"
            module.emulated = not bfloat16_in_hardware(str(module.weight.device))


#: the modules of p(x | z_1), as the models name them
DECODERS = ("decoder", "pixel_logits", "pixel_outputs")


def set_decoding_arithmetic(model: nn.Module, name: str) -> None:
    """Let the model's networks from z_1 to the pixels compute their products in ``bfloat16`` or
    ``float32``, everything else in float32."""
    set_arithmetic(model, "float32")
    for child in DECODERS:
        network = getattr(model, child, None)
        if isinstance(network, nn.Module):
            set_arithmetic(network, name)
