"""Operations that look at numbers to decide what to compute, as one operation of PyTorch's each: a
recorder of operations (:mod:`rungs.training.recorded_step`) cannot follow them inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch.library import Library

_LIBRARY = Library("rungs", "DEF")
Implementation = TypeVar("Implementation", bound=Callable[..., Any])


def opaque(schema: str) -> Callable[[Implementation], Implementation]:
    """Register a function as the operation ``torch.ops.rungs.<name>``, without a gradient.

    Args:
        schema: its name, arguments and results, as PyTorch writes them; no result may be one of its
            arguments, and those that it changes are marked ``Tensor(a!)``.
    """

    def register(function: Implementation) -> Implementation:
        _LIBRARY.define(schema)
        _LIBRARY.impl(schema.partition("(")[0], function, "CompositeExplicitAutograd")
        return function

    return register
