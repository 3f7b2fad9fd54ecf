"""A training step's operations, recorded once and replayed without Python.

Most of a small network's step is not arithmetic but the calling of operations: Python, autograd's
graph, the dispatcher. Which operations a step makes, and on what shapes, does not depend on the
numbers. So they are recorded in the first step, forward and backward, and from then on replayed by
TorchScript's interpreter: the same operations on the same operands in the same order, hence the
same bits. What cannot be recorded, because it looks at a number to decide what to do, is computed
as it is written.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.jit import optimized_execution  # type: ignore[attr-defined]

#: from a step's inputs to its results
Function = Callable[[list[Tensor]], list[Tensor]]
_ATEN = torch.ops.aten
#: what is one tensor under two names needs no operation
_ALIASES = {_ATEN.detach.default, _ATEN.alias.default}


class ObjectiveCall(nn.Module):
    """A model's objective as a module's call, which is what ``functional_call`` takes."""

    def __init__(self, model: Any, settings: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(
        self, x: Tensor, noise: list[Tensor], weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and the statistics of a batch."""
        objective = self.model.objective(x, noise, self.settings, weight)
        return objective.loss, objective.statistics


class Unrecordable(Exception):  # noqa: N818 - nothing is wrong: it is computed as it is written
    """The operations of a function depend on the numbers that it is given, or cannot be written down."""


class Recording:
    """The gradients and statistics of a batch, by the operations of another batch's step.

    Args:
        model: a :class:`rungs.models.protocol.Trainable` in training mode.
        settings: the configuration's ``training`` section.
        gradients: where the gradient of each of the model's parameters is put; what the loss does
            not depend on has a gradient of 0.
        x, noise, weight: a batch, what :meth:`rungs.models.protocol.Trainable.objective` takes; all
            later ones have its shapes.

    Raises:
        Unrecordable: if the step's operations depend on its numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: dict[str, Any],
        gradients: Sequence[Tensor],
        x: Tensor,
        noise: list[Tensor],
        weight: Tensor,
    ) -> None:
        call = ObjectiveCall(model, settings)
        learnt = [name for name, _ in call.named_parameters()]
        names = learnt + [name for name, _ in call.named_buffers()]
        self._state = [*call.parameters(), *call.buffers()]
        self._statistics: list[str] = []
        used: list[Tensor] = []

        def step(inputs: list[Tensor]) -> list[Tensor]:
            """Gradients of what the loss depends on, then the statistics."""
            state = dict(zip(names, inputs, strict=False))
            parameters = [state[name].detach().requires_grad_() for name in learnt]
            state.update(zip(learnt, parameters, strict=True))
            x, weight, *noise = inputs[len(names) :]
            loss, statistics = torch.func.functional_call(call, state, (x, noise, weight))
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            used[:] = [g for g, f in zip(gradients, found, strict=True) if f is not None]
            self._statistics = list(statistics)
            return [f for f in found if f is not None] + list(statistics.values())

        example = [*self._state, x, weight, *noise]
        step(_copies(example))  # says which gradients there are
        for gradient in gradients:
            gradient.zero_()
        # other images and noise, of which some rows are alike: a number of the example's that has got
        # into the recording shows
        shuffled = [
            x[torch.arange(len(x)) // 2],
            0.5 * weight,
            *(values.flip(0) for values in noise),
        ]
        self._step = record(step, example, [*self._state, *shuffled], used)

    def __call__(self, x: Tensor, noise: list[Tensor], weight: Tensor) -> dict[str, Tensor]:
        """Put the gradients of a batch in their place; its statistics."""
        found = self._step([*self._state, x, weight, *noise])
        return dict(zip(self._statistics, found, strict=True))


def record(
    function: Function,
    inputs: Sequence[Tensor],
    others: Sequence[Tensor],
    targets: Sequence[Tensor] = (),
) -> Function:
    """``function`` as a replay of the operations that it makes on ``inputs``, on a CPU.

    Args:
        function: makes the same operations for all inputs of these shapes. It may change inputs in
            their place.
        inputs: an example, left as it is.
        others: inputs with other numbers, also left as they are: with both the replay has to agree.
        targets: where the first of the results are put, each in a contiguous tensor of its shape; the
            replay returns the others.

    Raises:
        Unrecordable: if that cannot be done, or the bits are not those that ``function`` gives.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # TorchScript is no longer developed; it has all it needs
            script, constants = _compile(make_fx(function)(_copies(inputs)), len(targets))
    except Exception as error:
        raise Unrecordable(str(error)) from error

    def replay(inputs: Sequence[Tensor], targets: Sequence[Tensor] = targets) -> list[Tensor]:
        # not optimised: rewriting products changes bits, and there is nothing to be gained
        with torch.inference_mode(), optimized_execution(False):
            found: list[Tensor] = script([*inputs, *constants, *targets])
        return found

    for example in (inputs, others):
        given, again, put = _copies(example), _copies(example), _copies(targets)
        expected, found = function(given), [*put, *replay(again, put)]
        for one, other in zip([*expected, *given], [*found, *again], strict=True):
            if one.dtype != other.dtype or not torch.equal(one, other):
                raise Unrecordable("the replay gives other numbers")
    return replay


def _copies(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the same numbers and strides, without history."""
    return [tensor.detach().clone() for tensor in inputs]


def _compile(module: fx.GraphModule, targets: int) -> tuple[Any, list[Tensor]]:
    """The recorded operations as a script of inputs, constants and targets, and the constants."""
    for node in module.graph.nodes:
        if node.target in _ALIASES:
            node.replace_all_uses_with(node.args[0])
        elif node.target is _ATEN.t.default and node.args[0].target is _ATEN.t.default:
            node.replace_all_uses_with(node.args[0].args[0])
    module.graph.eliminate_dead_code(_has_effect)
    source, constants = _source(module, targets)
    return torch.jit.CompilationUnit(source).step, constants


def _has_effect(node: fx.Node) -> bool:
    """Whether a node matters though nothing uses its result."""
    if isinstance(node.target, torch._ops.OpOverload):
        return node.target._schema.is_mutable
    return node.op in ("placeholder", "output")


def _source(module: fx.GraphModule, targets: int) -> tuple[str, list[Tensor]]:
    """Source of a function ``step`` from a list of tensors to one, and the constants among them."""
    nodes = list(module.graph.nodes)
    inputs = [node.name for node in nodes if node.op == "placeholder"]
    constants = [node for node in nodes if node.op == "get_attr"]
    inputs += [node.name for node in constants]
    results = list(nodes[-1].args[0])
    places = {}
    lines = []
    for number, node in enumerate(results[:targets]):
        inputs.append(f"target_{number}")
        if node.target is _ATEN.mm.default and len(node.users) == 1 and results.count(node) == 1:
            places[node] = f"target_{number}"
        else:
            lines.append(f"torch.ops.aten.copy_(target_{number}, {node.name})")
    lines.append(f"return {_literal(results[targets:])}")
    made = [_assignment(node, places.get(node)) for node in nodes if node.op == "call_function"]
    unpacked = [f"{name} = inputs[{number}]" for number, name in enumerate(inputs)]
    head = "def step(inputs: List[Tensor]) -> List[Tensor]:"
    source = "\n    ".join([head, *unpacked, *made, *lines]) + "\n"
    return source, [getattr(module, node.target) for node in constants]


def _assignment(node: fx.Node, place: str | None) -> str:
    """A recorded operation as a line of TorchScript, its result put in ``place`` if there is one."""
    if node.target is operator.getitem:
        return f"{node.name} = {_literal(node.args[0])}[{node.args[1]}]"
    given = [_literal(value) for value in node.args]
    given += [f"{name}={_literal(value)}" for name, value in node.kwargs.items()]
    if place is not None:
        given.append(f"out={place}")
    target: Any = node.target
    operation = f"{target.namespace}.{target._overloadpacket.__name__}"
    return f"{node.name} = torch.ops.{operation}({', '.join(given)})"


def _literal(value: Any) -> str:
    """An argument as TorchScript writes it."""
    if isinstance(value, fx.Node):
        return value.name
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(v) for v in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    return str(value) if isinstance(value, (torch.dtype, torch.layout)) else repr(value)
