"""Unpickling without running anything: what a pickle names is a class of ours that keeps values, whatever it is called.

A pickle names classes and functions, and calls them. Here the few names that make tensors, arrays and containers stand for
functions of ours (`pretrain.core.pickled`, `storages`); every other name becomes a stand-in, which runs nothing and only keeps
the attributes and items that it is given. So a training checkpoint is read whatever lies beside its weights (options,
callbacks, histories), and a pickled module gives its tensors. An example: `argparse.Namespace(arch="resnet50")` is read as
`{"arch": "resnet50"}`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, ClassVar

from torch import Tensor

from pretrain.core import pickled
from pretrain.core.pickled import RefusedError
from transfer.sources import storages

HARMFUL = frozenset(
    ("os", "posix", "nt", "sys", "subprocess", "pty", "shutil", "socket", "ctypes", "importlib", "runpy", "pdb", "webbrowser")
)
"""Modules that no checkpoint needs and attacks do. What they name would not be run either; but who made such a file meant it
to be, and the user should hear so."""
HARMFUL_BUILTINS = frozenset({"eval", "exec", "execfile", "compile", "__import__", "open", "input", "breakpoint"})
BUILTINS = ("builtins", "__builtin__")
SCRIPTED = "__torch__"
"""How the modules of TorchScript's classes begin."""
LOCAL = "_local_tensor"
"""Attribute of a distributed tensor (FSDP2's DTensor): what of it lay in the process that wrote it, which may be all."""
MOST_PARTS = 1_000_000
"""Most tensors and parts of a pickled module, those that stand in several places counted in each."""


class StandIn:
    """Stands for a class or function of any name, and for what it makes."""

    title = "what it called"
    """Its name in the pickle."""

    def __init__(self) -> None:
        self.attributes: dict[Any, Any] = {}
        self.items: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        """Keep attributes: pickle gives a mapping, or a pair of mappings where the class has slots."""
        for each in state if isinstance(state, tuple) else (state,):
            if isinstance(each, Mapping):
                self.attributes.update(each)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep an item, as a subclass of dict does."""
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Keep an item under its number, as a subclass of list does."""
        self.items[len(self.items)] = value

    add = append

    def extend(self, values: Any) -> None:
        """Keep items under their numbers."""
        for value in values:
            self.append(value)

    update = extend

    def parts(self) -> Mapping[Any, Any] | None:
        """Return the tensors and modules of a pickled module by their names; None for what is no module."""
        inside = [self.attributes.get(name) for name in ("_parameters", "_buffers", "_modules")]
        if all(isinstance(each, Mapping) for each in inside):
            return {name: value for each in inside if each is not None for name, value in each.items()}
        return self.attributes if self.title.startswith(SCRIPTED) else None


def opened(value: Any) -> Any:
    """Return what a value of ours holds: an array, a module's named tensors, or the mapping of what a stand-in keeps."""
    if isinstance(value, pickled.Array):
        return value.value
    if isinstance(value, type):
        return f"<{getattr(value, 'title', value.__name__)}>"
    if not isinstance(value, StandIn):
        return value
    if value.parts() is not None:
        return dict(_named(value))
    return {**value.attributes, **value.items} or f"<{value.title}>"


def _named(module: StandIn) -> Iterator[tuple[str, Any]]:
    """Yield a pickled module's tensors by their whole names, as `state_dict` does."""
    todo: list[tuple[str, StandIn]] = [("", module)]
    for _ in range(MOST_PARTS):
        if not todo:
            return
        prefix, at = todo.pop()
        for name, value in (at.parts() or {}).items():
            if isinstance(value, StandIn) and value.parts() is not None:
                todo.append((f"{prefix}{name}."[:MOST_PARTS], value))
            elif isinstance(value, Tensor):
                yield f"{prefix}{name}", value
    raise ValueError(f"a module of more than {MOST_PARTS:,} parts")


def _mapping(*given: Any) -> dict[Any, Any]:
    """Stands for the kinds of dictionaries, whose default is not kept."""
    return dict(given[0]) if given and isinstance(given[0], Mapping) else {}


def _sequence(*given: Any) -> tuple[Any, ...]:
    """Stands for sets, lists and tuples."""
    return tuple(given[0]) if given and isinstance(given[0], (list, tuple, set)) else ()


def _queue(*_: Any) -> list[Any]:
    """Stands for `collections.deque`, whose values follow."""
    return []


def _reconstructor(cls: Any, base: Any = None, state: Any = None) -> Any:
    """Stands for `copyreg._reconstructor`, by which the oldest protocols make objects."""
    made = _call(cls, ())
    if isinstance(made, StandIn) and isinstance(state, Mapping):
        made.items.update(state)
    return made


def _newobj(cls: Any, *_: Any) -> Any:
    """Stands for `copyreg.__newobj__`."""
    return _call(cls, ())


def _from_type(function: Any, kind: Any, given: Any, state: Any) -> Any:
    """Stands for `torch._tensor._rebuild_from_type_v2`: a tensor of a subclass is a tensor, or has one."""
    for each in state if isinstance(state, tuple) else (state,):  # a pair where the class has slots
        if isinstance(each, Mapping) and isinstance(each.get(LOCAL), Tensor):
            return each[LOCAL]
    return _call(function, given)


NAMES: dict[tuple[str, str], Any] = {
    **pickled.NAMES,
    **storages.NAMES,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): _mapping,
    ("collections", "Counter"): _mapping,
    ("collections", "deque"): _queue,
}
for _module in BUILTINS:
    NAMES |= {(_module, name): _sequence for name in ("set", "frozenset", "list", "tuple")} | {(_module, "dict"): _mapping}
for _module in ("copyreg", "copy_reg"):
    NAMES |= {
        (_module, "_reconstructor"): _reconstructor,
        (_module, "__newobj__"): _newobj,
        (_module, "__newobj_ex__"): _newobj,
    }
_CALLABLE = {id(each) for each in NAMES.values() if callable(each)}


def _call(function: Any, given: Any) -> Any:
    """Make what a pickle calls for. Only functions of ours run; a stand-in makes an empty one of its kind.

    Raises:
        RefusedError: If it calls something that is neither.
    """
    if isinstance(function, type) and issubclass(function, StandIn):
        return function()
    if isinstance(function, StandIn):
        return StandIn()
    if id(function) not in _CALLABLE:
        raise RefusedError(f"a call of {type(function).__name__}")
    return function(*given)


class Unpickler(pickled.Unpickler):
    """Reads a pickle by the rules above."""

    names: ClassVar[Mapping[tuple[str, str], Any]] = NAMES
    built: ClassVar[tuple[type[Any], ...]] = (StandIn, pickled.Array, pickled.Dtype)

    def __init__(self, file: IO[bytes], storage: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file)
        self._storage = storage
        self._classes: dict[str, type[StandIn]] = {}

    @property
    def strangers(self) -> tuple[str, ...]:
        """Names of what stand-ins stood for, in the order of the pickle."""
        return tuple(self._classes)

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name.

        Raises:
            RefusedError: For names that only an attack needs.
        """
        title = f"{module}.{name}"
        if module.split(".")[0] in HARMFUL or (module in BUILTINS and name in HARMFUL_BUILTINS):
            raise RefusedError(title)
        known = NAMES.get((module, name))
        if known is None and title not in self._classes:
            self._classes[title] = type("StandIn", (StandIn,), {"title": title})
        return self._classes[title] if known is None else known

    def persistent_load(self, pid: Any) -> Any:
        """Return what lies outside the pickle: a storage of numbers; or, in old files, a module's class."""
        if self._storage is None or not isinstance(pid, tuple) or not pid:
            raise RefusedError("something outside the pickle")
        return pid[1] if pid[0] == "module" and len(pid) > 1 else self._storage(pid)

    def call(self, function: Any, given: Any) -> Any:
        """Make what a pickle calls for. Only functions of ours run; a stand-in makes an empty one of its kind."""
        return _call(function, given)
