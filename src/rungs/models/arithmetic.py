"""The arithmetic of matrix products, float32 or bfloat16.

With ``compute.precision: bfloat16``, dense layers round the operands of their products to bfloat16 and
accumulate in float32 where the processor is faster that way. Hidden units between two dense layers stay
bfloat16; everything else is float32. On other processors float32 is used: there bfloat16 serves only to
study its effect on the numbers.

Training rounds the products of all dense layers; convolutions stay in float32. The estimate of a trained
model's likelihood rounds only those of p(x | z_1), which are nearly all of its work: rounding the
posterior changes the proposal, and L_k by more than the tolerance (docs/speed.md has the numbers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from rungs.models.networks import Dense
from rungs.numerics.processor import processor_name


def bfloat16_in_hardware(device: str) -> bool:
    """Return whether the processor, or the GPU, multiplies bfloat16 in hardware."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def bfloat16_is_faster(device: str) -> bool:
    """Return whether products of bfloat16 take less time than those of float32.

    On Intel's processors only AMX makes them faster. AVX512-BF16 alone, which is what a virtual machine
    may be left with, multiplies at half the rate of float32 (84 GFLOP/s beside 158 on a core), on AMD's
    at twice the rate.
    """
    if not bfloat16_in_hardware(device):
        return False
    on_cpu = torch.device(device).type == "cpu"
    amx = torch.cpu._is_amx_tile_supported()
    return not (on_cpu and "Intel" in processor_name() and not amx)


def arithmetic(settings: Mapping[str, Any]) -> str:
    """The arithmetic of a run's products on this machine: ``bfloat16`` or ``float32``."""
    asked = settings["precision"] == "bfloat16"
    return "bfloat16" if asked and bfloat16_is_faster(settings["device"]) else "float32"


def set_arithmetic(model: nn.Module, name: str) -> None:
    """Make the dense layers of a model compute their products in ``bfloat16`` or ``float32``."""
    for module in model.modules():
        if isinstance(module, Dense):
            module.narrow = name == "bfloat16"
            module.emulated = not bfloat16_in_hardware(str(module.weight.device))


#: the names of the modules of p(x | z_1) in the models
DECODERS = ("decoder", "pixel_logits", "pixel_outputs")


def set_decoding_arithmetic(model: nn.Module, name: str) -> None:
    """Make the networks of p(x | z_1) compute their products in ``bfloat16`` or ``float32``, and all
    others in float32."""
    set_arithmetic(model, "float32")
    for child in DECODERS:
        network = getattr(model, child, None)
        if isinstance(network, nn.Module):
            set_arithmetic(network, name)
