"""The operations of a training step, recorded once and replayed without Python.

Most of a small network's step is not arithmetic but the calling of operations: Python, autograd's
graph, the dispatcher. Which operations a step makes, and on what shapes, does not depend on the
numbers. So they are recorded in the first step, forward and backward, and from then on replayed by
TorchScript's interpreter: the same operations on the same operands in the same order, hence the
same bits. A step that looks at a number to decide what to do cannot be recorded, and is computed as it
is written.

This is the only module that needs TorchScript. The trainer imports it when it records a step, and trains
without it where the import fails.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from rungs.training.objective_call import ObjectiveCall, Unrecordable

#: from a step's inputs to its results
Function = Callable[[list[Tensor]], list[Tensor]]
_ATEN = torch.ops.aten
#: what is one tensor under two names needs no operation
_ALIASES = {_ATEN.detach.default, _ATEN.alias.default}
#: operations whose result can be computed where it is wanted: products, and conversions to another type
_PLACEABLE = {_ATEN.mm.default, _ATEN._to_copy.default}


class Recording:
    """Computes the gradients and statistics of a batch by the recorded operations of an example batch.

    Args:
        model: a :class:`rungs.models.protocol.Trainable` in training mode.
        settings: the configuration's ``training`` section.
        gradients: the places of the gradients of the model's parameters; the gradient of a parameter
            that the loss does not depend on is 0.
        x, noise, weight: the example, as :meth:`rungs.models.protocol.Trainable.objective` takes it; all
            later batches have its shapes.

    Raises:
        Unrecordable: if the step's operations depend on its numbers.
    """

    def __init__(
        self,
        model: Any,
        settings: Mapping[str, Any],
        gradients: Sequence[Tensor],
        x: Tensor,
        noise: list[Tensor],
        weight: Tensor,
    ) -> None:
        kept = _State(model)
        objective = model.objective(x, noise, settings, weight)
        written = torch.autograd.grad(objective.loss, [*model.parameters()], allow_unused=True)
        targets = [place for place, g in zip(gradients, written, strict=True) if g is not None]
        expected = [g for g in written if g is not None] + list(objective.statistics.values())
        expected += kept.restore()
        call = ObjectiveCall(model, settings)
        learnt = [name for name, _ in call.named_parameters()]
        names = learnt + [name for name, _ in call.named_buffers()]
        self._state = kept.tensors
        self._statistics = list(objective.statistics)
        del objective

        def step(inputs: list[Tensor]) -> list[Tensor]:
            """Gradients of what the loss depends on, then the statistics."""
            state = dict(zip(names, inputs, strict=False))
            parameters = [state[name].detach().requires_grad_() for name in learnt]
            state.update(zip(learnt, parameters, strict=True))
            x, weight, *noise = inputs[len(names) :]
            loss, statistics = torch.func.functional_call(call, state, (x, noise, weight))
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            return [g for g in found if g is not None] + list(statistics.values())

        # other parameters, images (some rows of which are alike), weight and noise: with them a number
        # of the example that has got into the recording shows
        others = [0.01 + 1.1 * parameter.detach() for parameter in model.parameters()]
        others += [*model.buffers(), x[torch.arange(len(x)) // 2], 0.5 * weight + 0.25]
        others += [values.flip(0) for values in noise]
        for gradient in gradients:
            gradient.zero_()
        self._step = record(step, [*self._state, x, weight, *noise], others, targets)
        # the step as it is written may treat its state in a way that no recorder can follow, for example
        # put another tensor in the place of a buffer
        found = self(x, noise, weight)
        if not _equal(expected, [*targets, *found.values(), *kept.restore()]):
            raise Unrecordable("the step as it is written gives other numbers")

    def __call__(self, x: Tensor, noise: list[Tensor], weight: Tensor) -> dict[str, Tensor]:
        """Compute the gradients of a batch in their places; return its statistics."""
        found = self._step([*self._state, x, weight, *noise])
        return dict(zip(self._statistics, found, strict=True))


class _State:
    """The parameters and buffers of a model, to be restored later.

    Attributes:
        tensors: the parameters, then the buffers.
    """

    def __init__(self, model: nn.Module) -> None:
        self.tensors = [*model.parameters(), *model.buffers()]
        self._model = model
        self._numbers = _copies(self.tensors)
        self._buffers = [dict(module._buffers) for module in model.modules()]

    def restore(self) -> list[Tensor]:
        """Restore them; return copies of what they had become."""
        now = _copies([*self._model.parameters(), *self._model.buffers()])
        for module, buffers in zip(self._model.modules(), self._buffers, strict=True):
            module._buffers.update(buffers)
        with torch.no_grad():
            for tensor, number in zip(self.tensors, self._numbers, strict=True):
                tensor.copy_(number)
        return now


def record(
    function: Function,
    inputs: Sequence[Tensor],
    others: Sequence[Tensor],
    targets: Sequence[Tensor] = (),
) -> Function:
    """Record the operations that ``function`` makes on ``inputs``, on a CPU; return their replay.

    Args:
        function: makes the same operations for all inputs of these shapes. It may change inputs in
            place.
        inputs: an example, left as it is.
        others: inputs with other numbers, also left as they are. The replay is compared with
            ``function`` on both.
        targets: contiguous tensors into which the replay puts the first results. It returns the others.

    Raises:
        Unrecordable: if the operations cannot be recorded, or the replay gives other bits than
            ``function``.
    """
    try:
        return _record(function, inputs, others, targets)
    except Unrecordable:
        raise
    except (
        Exception
    ) as error:  # of the recorder or the compiler: the step as it is written has passed
        reason = str(error).strip().partition("\n")[0]
        raise Unrecordable(f"{type(error).__name__}: {reason}") from error


def _record(
    function: Function,
    inputs: Sequence[Tensor],
    others: Sequence[Tensor],
    targets: Sequence[Tensor],
) -> Function:
    from torch.jit import CompilationUnit, optimized_execution  # type: ignore[attr-defined]

    given = _copies(inputs)
    recorder = _Recorder(given)
    with recorder:
        results = function(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is no longer developed; it has all it needs
        script = CompilationUnit(recorder.source(results, len(targets))).step
    constants = recorder.constants
    del results, given

    def replay(inputs: Sequence[Tensor], places: Sequence[Tensor] = targets) -> list[Tensor]:
        # not optimised: rewriting products changes bits and gains nothing
        with torch.inference_mode(), optimized_execution(False):
            found: list[Tensor] = script([*inputs, *constants, *places])
        return found

    for example in (inputs, others):
        given, again = (_copies(example, inputs) for _ in range(2))
        put = _copies(targets)
        expected, found = function(given), [*put, *replay(again, put)]
        if not _equal([*expected, *given], [*found, *again]):
            raise Unrecordable("the replay gives other numbers")
    return replay


def _copies(tensors: Sequence[Tensor], like: Sequence[Tensor] | None = None) -> list[Tensor]:
    """Copies without history, with the strides of the tensors or of those of ``like``."""
    return [
        torch.empty_strided(other.shape, other.stride(), dtype=other.dtype).copy_(tensor.detach())
        for tensor, other in zip(tensors, tensors if like is None else like, strict=True)
    ]


def _equal(expected: Sequence[Tensor], found: Sequence[Tensor]) -> bool:
    """Whether types, shapes and numbers are the same; NaNs compare equal."""
    return all(
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)
        for one, other in zip(expected, found, strict=True)
    )


def _looks_at_numbers(target: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation gives Python a number or a shape that depends on the numbers of a tensor."""
    if torch.Tag.data_dependent_output in target.tags:
        return True
    if torch.Tag.dynamic_output_shape not in target.tags:
        return False
    if target is not _ATEN.index.Tensor:
        return True
    masks = (torch.bool, torch.uint8)  # any other index has a shape of its own
    return any(index is not None and index.dtype in masks for index in args[1])


@dataclass
class _Operation:
    """A recorded operation.

    Attributes:
        name: the name of its result in the script.
        operands: the names of the results and inputs that it takes.
    """

    name: str
    target: torch._ops.OpOverload
    arguments: list[str]
    operands: set[str]

    def line(self, place: str | None) -> str:
        """The operation as a line of TorchScript that puts the result in ``place``, if there is one."""
        if place and self.target is _ATEN._to_copy.default:
            # its own form with out= takes no type
            return f"{self.name} = torch.ops.aten.copy_({place}, {self.arguments[0]})"
        called = f"torch.ops.{self.target.namespace}.{self.target._overloadpacket.__name__}"
        arguments = self.arguments + ([f"out={place}"] if place else [])
        return f"{self.name} = {called}({', '.join(arguments)})"


class _Recorder(TorchDispatchMode):
    """A mode in which torch's operations are written down.

    Args:
        inputs: the inputs of the script. Other tensors that no recorded operation has made are constants.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.constants: list[Tensor] = []
        self._count = len(inputs)
        self._operations: list[_Operation] = []
        #: the name of a tensor in the script; weak, so that recording takes no more memory than computing
        self._names = WeakIdKeyDictionary()
        #: the name of a transposed matrix -> the name of the matrix
        self._transposed: dict[str, str] = {}
        for number, tensor in enumerate(inputs):
            self._names[tensor] = f"input_{number}"

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: otherwise torch's compiler is imported, two seconds of a process that does not use it."""
        return False

    def __torch_dispatch__(
        self, target: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if _looks_at_numbers(target, args):
            raise Unrecordable(f"{target} looks at numbers")
        result = target(*args, **(kwargs or {}))
        if target in _ALIASES:
            self._names[result] = self._name(args[0])
            return result
        operands: set[str] = set()
        arguments = [self._literal(value, operands) for value in args]
        arguments += [f"{k}={self._literal(v, operands)}" for k, v in (kwargs or {}).items()]
        if target is _ATEN.t.default and arguments[0] in self._transposed:
            self._names[result] = self._transposed[arguments[0]]
            return result
        operation = _Operation(f"made_{len(self._operations)}", target, arguments, operands)
        self._operations.append(operation)
        if isinstance(result, Tensor):
            self._names[result] = operation.name
        elif isinstance(result, (tuple, list)):
            for number, part in enumerate(result):
                if isinstance(part, Tensor):
                    self._names[part] = f"{operation.name}[{number}]"
        if target is _ATEN.t.default:
            self._transposed[operation.name] = arguments[0]
        return result

    def _name(self, tensor: Tensor) -> str:
        if tensor not in self._names:
            self._names[tensor] = f"constant_{len(self.constants)}"
            self.constants.append(tensor)
        name: str = self._names[tensor]
        return name

    def _literal(self, value: Any, operands: set[str]) -> str:
        """An argument as TorchScript writes it; the tensors in it are added to ``operands``."""
        if isinstance(value, Tensor):
            name = self._name(value)
            operands.add(name.partition("[")[0])
            return name
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(self._literal(v, operands) for v in value)}]"
        if isinstance(value, float) and not math.isfinite(value):
            return f'float("{value}")'
        if isinstance(value, torch.device):
            return f'torch.device("{value}")'
        return str(value) if isinstance(value, (torch.dtype, torch.layout)) else repr(value)

    def source(self, results: Sequence[Tensor], targets: int) -> str:
        """A function ``step`` from inputs, constants and targets to the results that have no target."""
        found = [self._name(result) for result in results]
        given = [f"input_{number}" for number in range(self._count)]
        given += [f"constant_{number}" for number in range(len(self.constants))]
        given += [f"target_{number}" for number in range(targets)]
        operations = self._needed({name.partition("[")[0] for name in found})
        placeable = {o.name for o in operations if o.target in _PLACEABLE}
        taken = {name for operation in operations for name in operation.operands}
        places = {
            name: f"target_{number}"
            for number, name in enumerate(found[:targets])
            if name in placeable and name not in taken and found.count(name) == 1
        }
        body = [f"{name} = inputs[{number}]" for number, name in enumerate(given)]
        body += [operation.line(places.get(operation.name)) for operation in operations]
        for number, name in enumerate(found[:targets]):
            if name not in places:
                body.append(f"torch.ops.aten.copy_(target_{number}, {name})")
        body.append(f"return [{', '.join(found[targets:])}]")
        return "\n    ".join(["def step(inputs: List[Tensor]) -> List[Tensor]:", *body]) + "\n"

    def _needed(self, wanted: set[str]) -> list[_Operation]:
        """The operations that the wanted results depend on, and those that change a tensor in place."""
        needed = []
        for operation in reversed(self._operations):
            if operation.name in wanted or operation.target._schema.is_mutable:
                wanted |= operation.operands
                needed.append(operation)
        return needed[::-1]
