"""The import of torchvision beside a torch build that its operators do not fit.

torchvision's wheel on the package index is built for CUDA. Beside a CPU build of torch its
compiled operators do not load, and ``import torchvision`` fails on the two operators whose
schemas it expects. Data sets, transforms and ``make_grid`` need neither of them, so declaring
the schemas is enough.
"""

from __future__ import annotations

from typing import Any

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

#: torch drops declared operators with the object that declared them
_LIBRARIES: list[Any] = []


def import_torchvision() -> Any:
    """Import torchvision, declaring its missing operators only where they are missing."""
    import torch

    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                library.define(name + schema)
        _LIBRARIES.append(library)
        import torchvision
    return torchvision
