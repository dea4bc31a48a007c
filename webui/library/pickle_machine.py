"""Read a pickle as what it is, a program for a small stack machine, and run none of the code that it asks for.

Python's own unpickler imports any function that the program names and calls it: that is how a model file can delete a disk.
This machine knows only how to build lists, dicts, tuples and plain values. A name ("torch._utils._rebuild_tensor_v2") stays
a name, and calling one of the few that torch writes into model files makes a note of a tensor, without torch. Any other name
is refused as soon as it is read, before anything is done with it. The opcodes are decoded by the standard library's
``pickletools``, which only reads.

Everything built is as large as the program that builds it, but the same part may stand in many places: who walks over the
result must bound the walk.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from webui.errors import UnreadableModel, UnsafeModel

MAX_OPERATIONS = 500_000  # a checkpoint of a thousand tensors takes 40,000

STORAGE_DTYPES = {  # what torch calls a storage -> the dtype as safetensors calls it
    "BoolStorage": "BOOL", "ByteStorage": "U8", "CharStorage": "I8", "ShortStorage": "I16", "IntStorage": "I32",
    "LongStorage": "I64", "HalfStorage": "F16", "BFloat16Storage": "BF16", "FloatStorage": "F32", "DoubleStorage": "F64",
}  # fmt: skip

_ORDERED_DICT = ("collections", "OrderedDict")
_PARAMETER_DICT = ("torch.nn.modules.container", "ParameterDict")
_SETS = (("__builtin__", "set"), ("builtins", "set"))
_REBUILD_TENSOR = (("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"))
_REBUILD_PARAMETER = ("torch._utils", "_rebuild_parameter")
_SIZE = ("torch", "Size")
_STORAGES = tuple(("torch", name) for name in STORAGE_DTYPES)
# what training programs leave beside the weights (callbacks, scores); whatever the program does with them comes to nothing
_LEFT_BY_TRAINERS = frozenset(
    {
        ("pytorch_lightning.callbacks", "model_checkpoint"),
        ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
        ("_codecs", "encode"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    }
)
_KNOWN = frozenset(
    {
        _ORDERED_DICT,
        _PARAMETER_DICT,
        *_SETS,
        *_REBUILD_TENSOR,
        _REBUILD_PARAMETER,
        _SIZE,
        *_STORAGES,
        *_LEFT_BY_TRAINERS,
    },
)

_LITERALS = frozenset(
    {
        "INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
        "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
        "BINBYTES8",
    }
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)  # what malformed programs lead to


class Name(NamedTuple):
    """Something that the program would import."""

    module: str
    name: str


class Storage(NamedTuple):
    """A run of numbers outside the program: ``key`` finds it, ``length`` counts its numbers."""

    dtype: str
    key: str
    length: int


class Rebuilt(NamedTuple):
    """A tensor over a storage; ``offset`` and ``stride`` count numbers, not bytes. Nothing of it has been checked."""

    storage: Storage
    offset: Any
    shape: Any
    stride: Any


class _ParameterDict(dict[Any, Any]):
    """torch's ``ParameterDict``: its content comes in a later instruction, as the object's state."""


class _Mark:
    pass


def run(program: BinaryIO, label: str) -> Any:
    """What the pickle at the file's position says; the position is then behind it.

    Built of plain values, lists, tuples, dicts, :class:`Rebuilt` and :class:`Storage`. ``UnsafeModel`` names what else the
    program would call; ``UnreadableModel`` when it is malformed.
    """
    machine = _Machine(label)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
            if count > MAX_OPERATIONS:
                raise UnreadableModel(f"{label} is no model file: its pickle has more than {MAX_OPERATIONS:,} steps.")
            machine.step(opcode.name, argument)
        return machine.result
    except _DAMAGE as error:
        raise UnreadableModel(f"{label} is damaged: its pickle cannot be read ({_short(error)}).") from error


@dataclass
class _Machine:
    label: str
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    result: Any = None

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in _LITERALS:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode]())
        elif opcode == "MARK":
            stack.append(_Mark)
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif opcode in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[opcode])))
        elif opcode == "TUPLE":
            stack.append(tuple(self._marked()))
        elif opcode == "LIST":
            stack.append(self._marked())
        elif opcode == "DICT":
            stack.append(self._filled({}, self._marked()))
        elif opcode in ("APPEND", "APPENDS"):
            added = self._pop(1) if opcode == "APPEND" else self._marked()
            self._top(list).extend(added)
        elif opcode in ("SETITEM", "SETITEMS"):
            pairs = self._pop(2) if opcode == "SETITEM" else self._marked()
            self._filled(self._top(dict), pairs)
        elif opcode == "GLOBAL":
            module, _, name = argument.partition(" ")
            stack.append(self._named(module, name))
        elif opcode == "STACK_GLOBAL":
            stack.append(self._named(*self._pop(2)))
        elif opcode in ("REDUCE", "NEWOBJ"):
            stack.append(self._called(*self._pop(2)))
        elif opcode == "BUILD":
            self._built(*self._pop(1))
        elif opcode == "BINPERSID":
            stack.append(self._persistent(*self._pop(1)))
        elif opcode == "POP":
            stack.pop()
        elif opcode == "POP_MARK":
            self._marked()
        elif opcode == "DUP":
            stack.append(stack[-1])
        elif opcode == "STOP":
            (self.result,) = stack
        elif opcode == "INST":
            module, _, name = argument.partition(" ")
            self._named(module, name)  # refuses what is unknown by its name
            raise self._unsafe(f"{module}.{name}")
        elif opcode not in ("PROTO", "FRAME"):
            raise self._unsafe(f"the pickle instruction {opcode}")

    def _pop(self, count: int) -> list[Any]:
        values = self.stack[-count:]
        if len(values) < count or _Mark in values:
            raise ValueError("a value is missing")
        del self.stack[-count:]
        return values

    def _marked(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("a mark is missing")

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"it fills something that is no {kind.__name__}")
        return self.stack[-1]

    @staticmethod
    def _filled(target: dict[Any, Any], pairs: list[Any]) -> dict[Any, Any]:
        if len(pairs) % 2:
            raise ValueError("a key has no value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, Name):
                key = f"{key.module}.{key.name}"
            if not isinstance(key, str | int):  # a deeply nested tuple would crash Python when it is hashed
                raise ValueError("a key is neither text nor a number")
            target[key] = value
        return target

    def _named(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        if (module, name) not in _KNOWN:
            raise self._unsafe(f"{module}.{name}")
        return Name(module, name)

    def _called(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise self._unsafe("something that is no function")
        if function in _LEFT_BY_TRAINERS:
            return function  # in place of its answer
        if function in _REBUILD_TENSOR and len(arguments) >= 4 and isinstance(arguments[0], Storage):
            return Rebuilt(*arguments[:4])
        if function == _REBUILD_PARAMETER and arguments and isinstance(arguments[0], Rebuilt):
            return arguments[0]
        if function == _PARAMETER_DICT and not arguments:
            return _ParameterDict()
        if function == _ORDERED_DICT and not arguments:
            return {}
        if function == _ORDERED_DICT and isinstance(arguments[0], list):  # as Python 2 wrote it
            return self._filled({}, [part for key, value in arguments[0] for part in (key, value)])
        if function == _SIZE and len(arguments) == 1:
            return tuple(arguments[0])
        if function in _SETS:
            return None  # which buffers a module saves: nothing that we want
        raise UnreadableModel(f"{self.label} is damaged: it calls {function.module}.{function.name} wrongly.")

    def _built(self, state: Any) -> None:
        """The state of an object. State dicts have attributes ("_metadata") that say nothing we need."""
        if self.stack and isinstance(self.stack[-1], Name) and self.stack[-1] in _LEFT_BY_TRAINERS:
            return
        target = self._top(dict)
        if isinstance(target, _ParameterDict):
            target.update(self._filled({}, [part for item in state["_parameters"].items() for part in item]))

    def _persistent(self, reference: Any) -> Storage | Name:
        if isinstance(reference, tuple) and reference[:1] == ("module",) and isinstance(reference[1], Name):
            return reference[1]  # torch before 1.6 put the source text of a module's class beside the class
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
            raise ValueError("a storage is described wrongly")
        kind, key, _, length = reference[1:5]
        if not isinstance(kind, Name) or kind not in _STORAGES or type(length) is not int or length < 0:
            raise ValueError("a storage is described wrongly")
        return Storage(STORAGE_DTYPES[kind.name], str(key) if isinstance(key, str | int) else "", length)

    def _unsafe(self, what: str) -> UnsafeModel:
        return UnsafeModel(
            f'{self.label} was not opened, because it wants to use "{_short(what)}", which a model file has no need of and '
            "which may run code. Delete the file, or ask whoever gave it to you for safetensors."
        )


def _short(text: object) -> str:
    """At most 80 visible letters of what a file from a stranger says."""
    shown = ascii(str(text))[1:-1]
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
