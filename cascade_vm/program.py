"""Program: what is compiled ahead of time, saved, loaded and run.

``ProgramData`` is the content: blueprints, constants, declared inputs. Its canonical bytes are what the content hash is taken over.
The source map stands beside it. A ``Program`` adds what a process knows: for one that was compiled here, the tasks themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

import msgspec

from cascade_vm import constants, types
from cascade_vm.about import SourceMap, texts
from cascade_vm.blueprint import Blueprint, Symbol
from cascade_vm.bounded import bounded, shown
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING, show_type
from cascade_vm.notes import short
from cascade_vm.pictured import Pictured
from cascade_vm.policies import LivePolicy
from cascade_vm.registry import Registry
from cascade_vm.route_data import InputSpec, Part, Shape, Table
from cascade_vm.shapes import Shapes
from cascade_vm.version import PRODUCER

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultingTypeVar

    from cascade_vm.executable import Executable
    from cascade_vm.pictures.drawing import Picture

    R_co = DefaultingTypeVar("R_co", covariant=True, default=Any)
else:
    R_co = TypeVar("R_co", covariant=True)


class ProgramData(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content of a program. ``literals[i]`` is what is in register i of the entry blueprint, as in a ``Part``.

    ``parts`` are the graphs that jumps begin, ``tables`` say which jumps; a program without bound calls has neither. ``shapes`` are those
    of graphs that tasks are known to return.
    """

    entry: str  # a cycle_id
    blueprints: tuple[Blueprint, ...]
    constants: tuple[bytes, ...]
    literals: tuple[int, ...]
    inputs: tuple[InputSpec, ...]
    parts: tuple[Part, ...] = ()
    tables: tuple[Table, ...] = ()
    shapes: tuple[Shape, ...] = ()

    __repr__ = shown

    def begun(self) -> set[int]:
        """The blueprints that a run or a jump begins with: all but those that only shapes have. What they call is linked."""
        entry = {at for at, blueprint in enumerate(self.blueprints) if blueprint.cycle_id == self.entry}
        return entry.union([part.blueprint for part in self.parts])

    def source_of(self, part: int) -> str:
        """Under which name a part has its source map: the cycle_id, for the first graph that has it; parts that share a blueprint were
        written in several places."""
        name = self.blueprints[self.parts[part].blueprint].cycle_id
        known = name == self.entry or any(one.blueprint == self.parts[part].blueprint for one in self.parts[:part])
        return f"{name}+{part}" if known else name


class Input:
    """One input of a program, as a caller sees it: ``name``, ``type`` (a Python type), ``default`` (or MISSING), ``source``."""

    __slots__ = ("_default", "_encoded", "name", "source", "type")

    def __init__(self, name: str, type: Any, default: Any, source: str, encoded: bytes | None) -> None:
        self.name = name
        self.type = type
        self.source = source
        self._default = default
        # A default that a task could change is made anew each time it is asked for: no run sees what another did to it.
        self._encoded = None if default is MISSING or constants.is_immutable(default) else encoded

    @property
    def default(self) -> Any:
        return self._default if self._encoded is None else constants.decode_again(self._encoded)

    @property
    def required(self) -> bool:
        return self._default is MISSING

    def __repr__(self) -> str:
        default = "" if self.required else f" = {short(self._default)}"
        return f"<{self.source} {bounded(self.name, 80)}: {bounded(show_type(self.type), 80)}{default}>"


class LiveGraph(NamedTuple):
    """What the compiling process knows of one graph: a function for each symbol, what stands beside each policy, a generator function for
    each resource, the declarations of its inputs."""

    functions: tuple[Any, ...]
    policies: tuple[LivePolicy, ...]
    resources: tuple[Any, ...]
    inputs: tuple[Any, ...]


class Live(NamedTuple):
    """What the compiling process knows of a program beyond its data: of its entry, of its parts, and what forbids saving."""

    entry: LiveGraph
    parts: tuple[LiveGraph, ...]
    unsavable: tuple[str, ...]


class Program(Pictured, Generic[R_co]):
    """A compiled workflow. Immutable; may be run by several threads and in several loops at once.

    For type checkers, ``R_co`` is the value of a run: known of what ``compile`` gives, and ``Any`` of what is loaded.
    """

    data: ProgramData
    source_maps: Mapping[str, SourceMap]
    provenance: Mapping[str, str]
    allow: tuple[str, ...] | None
    signed_by: str | None
    _live: Live | None

    def __init__(
        self,
        data: ProgramData,
        source_maps: Mapping[str, SourceMap],
        fingerprints: Mapping[str, bytes] | None = None,
        provenance: Mapping[str, str] | None = None,
        live: Live | None = None,
        allow: Sequence[str] | None = None,
        signed_by: str | None = None,
    ) -> None:
        set_ = partial(object.__setattr__, self)  # once and for all
        set_("data", data)
        set_("source_maps", MappingProxyType(dict(source_maps)))
        if fingerprints is not None:
            set_("fingerprints", MappingProxyType(dict(fingerprints)))
        # What an artifact tells is kept as it is; what is made here tells what made it, and nothing that differs from machine to machine.
        set_("provenance", MappingProxyType({"producer": PRODUCER} if provenance is None else dict(provenance)))
        set_("allow", tuple(allow) if allow is not None else None)
        set_("signed_by", signed_by)  # the name of the key whose signature was checked; None where none was asked for
        set_("_live", live)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """:raises AttributeError: always: others may be running it."""
        raise AttributeError(f"a Program cannot be changed, so {name!r} cannot be set: others may be running it. Make another one")

    def __delattr__(self, name: str) -> NoReturn:
        """:raises AttributeError: always, as for setting."""
        raise AttributeError(f"a Program cannot be changed, so {name!r} cannot be deleted")

    @property
    def cycle_id(self) -> str:
        """The digest of the shape of the graph that a run begins with."""
        return self.data.entry

    @cached_property
    def blueprints(self) -> Mapping[str, Blueprint]:
        """All blueprints, by cycle_id; that of the entry first."""
        return MappingProxyType({blueprint.cycle_id: blueprint for blueprint in self.data.blueprints})

    @property
    def entry(self) -> Blueprint:
        return self.blueprints[self.data.entry]

    @cached_property
    def inputs(self) -> Mapping[str, Input]:
        """The declared inputs, by name, in their order."""
        declared = _inputs(self.data.inputs, None if self._live is None else self._live.entry)
        return MappingProxyType({one.name: one for one in declared})

    @cached_property
    def fingerprints(self) -> Mapping[str, bytes]:
        """Of the source of each task whose source can be had, by symbol: as the artifact has them, or taken now. See
        ``cascade_vm.fingerprint``."""
        from cascade_vm.drift import fingerprints_of

        return MappingProxyType({} if self._live is None else fingerprints_of(self, self._live))

    def inputs_of(self, part: int) -> list[Input]:
        """The inputs that a part binds when a jump begins it."""
        return _inputs(self.data.parts[part].inputs, None if self._live is None else self._live.parts[part])

    @property
    def symbols(self) -> list[Symbol]:
        """Every task that the program calls, once, sorted by name; but for those that are met only in graphs that tasks return."""
        found = {symbol for at in self.data.begun() for symbol in self.data.blueprints[at].symbols}
        return sorted(found, key=lambda symbol: (symbol.name, symbol.version))

    # --- running --------------------------------------------------------------------------------------------------------

    def link(
        self, *, engine: str = "auto", capacity: Mapping[str, Any] | None = None, allow: Sequence[str] | None = None,
        time_slice: float = 0.005, pools: Mapping[str, Any] | None = None,
        resources: Mapping[str, Any] | None = None, jit: bool = True, caches: Mapping[str, Any] | None = None,
        registry: Registry | None = None, drift: str = "warn",
    ) -> Executable:  # fmt: skip
        """Bind the symbols to tasks and return an ``Executable``.

        Modules are imported by their exact names, and each symbol is looked up in the registry of tasks. Nothing else is imported.
        :param engine: "auto" interprets, and generates code for what has run often; "interpreter" and "codegen" do only the one.
        :param capacity: amounts by name, for calls with constraints (S22).
        :param pools: executors for tasks in modes "thread" and "process"; without them a run makes its own.
        :param resources: values in place of resources, by name.
        :param caches: caches by the names that calls have them under; a name that is not here is looked up among the named caches that
            there are in the process.
        :param jit: may a graph that a task returns be compiled, if the program has none of its shape? Otherwise ``NotCompiled`` is raised.
        :param allow: modules and packages that may be imported; overrides what ``load`` was given. None allows all.
        :param registry: what tasks, resources and exception classes are looked up in. Then nothing is imported, and ``allow`` has no say.
        :param drift: what to do about tasks whose source has changed since the program was compiled: "warn" (a ``CodeDriftWarning`` that
            names them), "error", or "ignore". A task without a fingerprint, since its source was not there, is not compared.
        :raises LinkError: with everything that does not fit, in one error.
        :raises TypeError, ValueError: an option is none; both ``allow`` and ``registry``.
        """
        from cascade_vm.executable import Options
        from cascade_vm.linker import link

        check_allow(allow)
        _check_registry(registry, allow)
        allowed = self.allow if allow is None else allow
        options = Options(time_slice, capacity, pools, resources, engine, self._shapes(jit))
        return link(self, engine, allowed, options, caches, registry, drift)

    def _shapes(self, jit: bool) -> Shapes | None:
        if jit and not self.data.shapes:
            return None
        blueprints = self.data.blueprints
        return Shapes({blueprints[one.blueprint].cycle_id: (blueprints[one.blueprint], one.sites) for one in self.data.shapes}, jit)

    @cached_property
    def _linked(self) -> Executable:
        return self.link()

    def run(self, /, **inputs: Any) -> R_co:
        """Run with these inputs, linked once with defaults. See ``Executable.run``."""
        value: R_co = self._linked.run(**inputs)
        return value

    async def arun(self, /, **inputs: Any) -> R_co:
        """``run`` inside an event loop."""
        value: R_co = await self._linked.arun(**inputs)
        return value

    # --- saving ---------------------------------------------------------------------------------------------------------

    def to_bytes(self, *, provenance: Mapping[str, str] | None = None) -> bytes:
        """The artifact: the same bytes for the same source and provenance, in every process.

        :param provenance: texts by name, to be told beside the producer, such as when it was compiled, and of which revision. They stand
            outside of the content hash.
        :raises CompileError: the program has a part that only this process knows: a lambda or local function as a task, a type
            that cannot be described. All of them are named.
        :raises TypeError, ValueError: ``provenance`` is no dict of texts.
        """
        from cascade_vm.codec import to_bytes

        if self._live is not None and self._live.unsavable:
            raise CompileError(
                "this program runs here, but cannot be saved:\n" + "\n".join(f"  {one}" for one in self._live.unsavable),
                code="C11",
            )
        return to_bytes(self.data, self.source_maps, self.fingerprints, dict(self.provenance) | texts(provenance or {}))

    def save(self, path: str | os.PathLike[str], *, provenance: Mapping[str, str] | None = None) -> None:
        """Write the artifact to ``path``: whole or not at all (a temporary file beside it, flushed to disk, then renamed).

        :raises CompileError, TypeError, ValueError: as ``to_bytes``. :raises OSError: the file cannot be written.
        """
        from cascade_vm.files import write_whole

        write_whole(path, self.to_bytes(provenance=provenance))

    def __repr__(self) -> str:
        inputs = bounded(str(list(self.inputs)), 200)
        return f"<Program {self.cycle_id[:12]}: {len(self.entry.instructions)} instructions, inputs {inputs}>"

    def _drawn(self) -> Picture:
        from cascade_vm.pictures.drawing import draw
        from cascade_vm.pictures.of_program import plan_of

        return draw(plan_of(self))


def _inputs(specs: Sequence[InputSpec], live: LiveGraph | None) -> list[Input]:
    found = []
    for at, spec in enumerate(specs):
        if live is not None:
            kind, default = live.inputs[at].type, live.inputs[at].default
        else:
            kind, default = types.parse(spec.type), MISSING if spec.default is None else constants.decode(spec.default)
        found.append(Input(spec.name, kind, default, spec.source, spec.default))
    return found


def check_allow(allow: object) -> None:
    """:raises TypeError: a text, which would be taken for the sequence of its characters."""
    if isinstance(allow, str):
        raise TypeError(f"allow takes a list of modules and packages, not a str: allow=[{allow!r}]")


def _check_registry(registry: object, allow: object) -> None:
    if registry is not None and not isinstance(registry, Registry):
        raise TypeError(f"registry takes a Registry, Registry([...]), not {type(registry).__name__!r}")
    if registry is not None and allow is not None:
        raise ValueError("allow= limits what is imported, and with registry= nothing is: leave one of them out")
