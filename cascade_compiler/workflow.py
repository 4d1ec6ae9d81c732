"""``@workflow``: a function that is traced once, with ``Param``s for its parameters, to a graph."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal, literal
from cascade_compiler.scan import Scanner, is_container
from cascade_compiler.task import Task
from cascade_vm.bounded import bounded
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING, bind
from cascade_vm.pictured import Pictured
from cascade_vm.sites import portable_path

if TYPE_CHECKING:
    from typing_extensions import ParamSpec as DefaultingParamSpec
    from typing_extensions import TypeVar as DefaultingTypeVar

    P = DefaultingParamSpec("P", default=...)
    G_co = DefaultingTypeVar("G_co", covariant=True, default=Any)
    R_co = DefaultingTypeVar("R_co", covariant=True, default=Any)
else:
    P = ParamSpec("P")
    G_co = TypeVar("G_co", covariant=True)
    R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
K = TypeVar("K")


class Workflow(Pictured, Generic[P, G_co, R_co]):
    """A named graph with declared inputs: what ``@workflow`` makes of a function.

    Calling it builds its graph for the given arguments (values or LazyResults), so workflows compose like tasks. ``trace``
    builds it for inputs that are not known yet. For type checkers, ``P`` are its parameters, ``G_co`` is what a call of it gives (a
    graph), and ``R_co`` the value of a run.
    """

    __name__: str
    __qualname__: str

    def __init__(self, fn: Callable[P, Any]) -> None:
        for parameter in inspect.signature(fn).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(
                    f"workflow {fn.__qualname__}: *{parameter.name} declares no input. Name each input, with a type and perhaps a default"
                )
            if type(parameter.default) is LazyResult:
                raise TypeError(
                    f"workflow {fn.__qualname__}: the default of {parameter.name} is a LazyResult; an input's default is a value"
                )
        update_wrapper(
            self, fn, updated=()
        )  # the name and the text, and nothing that could stand before an attribute of this class
        self.fn = fn

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> G_co:
        """The graph for these arguments. Plain values are checked and converted, as when the workflow is run; LazyResults are not.

        :raises TypeError: the arguments do not fit. :raises InputError: a value is ill-typed; all of them in one error.
        """
        given = inspect.signature(self.fn).bind(*args, **kwargs)
        scanner = Scanner()
        plain = {n: value for n, value in given.arguments.items() if type(value) is not Literal and not scanner.holds_lazy(value)}
        if plain:
            declared = [kind for kind in self.inputs if kind.name in plain]
            given.arguments.update(zip((kind.name for kind in declared), bind(declared, plain), strict=True))
        return self.fn(*given.args, **given.kwargs)  # type: ignore[no-any-return]  # the function that it is made of has any result

    @property
    def inputs(self) -> list[InputKind]:
        """The declared inputs, in the order of the parameters."""
        try:
            types = typing.get_type_hints(self.fn, include_extras=True)
        except Exception as unresolved:  # annotations are the user's expressions, and may fail in any way
            raise CompileError(
                f"workflow {self.__qualname__}: the type of an input cannot be resolved ({unresolved}). Use names that exist in its module",
                code="C05",
            ) from unresolved
        return [
            InputKind(name, types.get(name, Any), MISSING if p.default is p.empty else p.default, "param")
            for name, p in inspect.signature(self.fn).parameters.items()
        ]

    def trace(self) -> tuple[Any, list[InputKind]]:
        """(target, inputs): the graph that the function builds when each parameter is a ``Param``."""
        inputs = self.inputs
        code = self.fn.__code__
        nodes = {kind.name: LazyResult(kind, (), {}, None, code, 0) for kind in inputs}
        positional = [nodes[p.name] for p in inspect.signature(self.fn).parameters.values() if p.kind is not p.KEYWORD_ONLY]
        named = {p.name: nodes[p.name] for p in inspect.signature(self.fn).parameters.values() if p.kind is p.KEYWORD_ONLY}
        target = self.fn(*positional, **named)
        if target is None:
            raise CompileError(
                f"workflow {self.__qualname__} ({portable_path(code.co_filename)}:{code.co_firstlineno}) returned None: return the "
                "LazyResult that it stands for (or literal(None), if that is meant)",
                code="C06",
            )
        if type(target) not in (LazyResult, Literal) and not is_container(type(target)):
            target = literal(target)  # a workflow without calls: its value is what it returned
        return target, inputs

    def __repr__(self) -> str:
        return f"<workflow {bounded(f'{self.fn.__module__}.{self.__qualname__}')}>"

    def _drawn(self) -> Any:
        from cascade_compiler.pictures import whole

        return whole(self)


# What a function returns that is a container of LazyResults is one when it is called; all else that it returns, it calls by the value.
@overload
def workflow(fn: Callable[P, LazyResult[R]], /) -> Workflow[P, LazyResult[R], R]: ...
@overload
def workflow(  # type: ignore[overload-overlap]
    fn: Callable[P, list[LazyResult[R]]], /
) -> Workflow[P, list[LazyResult[R]], list[R]]: ...
@overload
def workflow(  # type: ignore[overload-overlap]
    fn: Callable[P, dict[K, LazyResult[R]]], /
) -> Workflow[P, dict[K, LazyResult[R]], dict[K, R]]: ...
@overload
def workflow(  # type: ignore[overload-overlap]
    fn: Callable[P, tuple[LazyResult[A], LazyResult[B]]], /
) -> Workflow[P, tuple[LazyResult[A], LazyResult[B]], tuple[A, B]]: ...
@overload
def workflow(  # type: ignore[overload-overlap]
    fn: Callable[P, tuple[LazyResult[A], LazyResult[B], LazyResult[C]]], /
) -> Workflow[P, tuple[LazyResult[A], LazyResult[B], LazyResult[C]], tuple[A, B, C]]: ...
@overload
def workflow(fn: Callable[P, R], /) -> Workflow[P, LazyResult[R], R]: ...
def workflow(fn: Callable[..., Any], /) -> Workflow[..., Any, Any]:
    """Declare a workflow: its parameters are inputs, with their annotations as types and their defaults (S20).

    :raises TypeError: ``fn`` takes ``*args`` or ``**kwargs``, is async, or is no function.
    """
    if not inspect.isfunction(fn) or isinstance(getattr(fn, "task", None), Task):
        raise TypeError(f"@workflow takes a function, not {type(fn).__name__}; a task goes into a workflow, not under one")
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"workflow {fn.__qualname__} must be a plain function: it builds a graph at once and waits for nothing")
    return Workflow(fn)
