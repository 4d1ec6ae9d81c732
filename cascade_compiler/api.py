"""What users call to run a graph: ``run``, ``arun``; and ``cycle_id``. (``compile`` is in ahead_of_time.py.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack, overload

from cascade_compiler.cache import activate
from cascade_compiler.capture import capture
from cascade_compiler.lazy import LazyResult
from cascade_compiler.resource import check_overrides
from cascade_compiler.shape import digest
from cascade_compiler.workflow import Workflow
from cascade_vm.executable import Options, arun_activation, check_time_slice, presentable, run_activation
from cascade_vm.outcome import Value
from cascade_vm.pools import check_pools

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
K = TypeVar("K")
T = TypeVar("T")
Given: TypeAlias = Mapping[str, Any] | None


class RunOptions(TypedDict, total=False):
    """The keywords of ``run`` and ``arun``, for type checkers."""

    engine: str
    capacity: Mapping[str, Any] | None
    time_slice: float
    pools: Mapping[str, Any] | None
    resources: Mapping[str, Any] | None


_TIME_SLICE = 0.005
# What most runs are, with nothing to check.
_PLAIN = {engine: Options(_TIME_SLICE, engine=engine) for engine in ("auto", "graph", "interpreter", "codegen")}


@overload
def run(target: LazyResult[T], params: Given = None, **options: Unpack[RunOptions]) -> T: ...
@overload
def run(target: Workflow[..., Any, T], params: Given = None, **options: Unpack[RunOptions]) -> T: ...
@overload
def run(target: tuple[LazyResult[A], LazyResult[B]], params: Given = None, **options: Unpack[RunOptions]) -> tuple[A, B]: ...
@overload
def run(
    target: tuple[LazyResult[A], LazyResult[B], LazyResult[C]], params: Given = None, **options: Unpack[RunOptions]
) -> tuple[A, B, C]: ...
@overload
def run(target: tuple[LazyResult[T], ...], params: Given = None, **options: Unpack[RunOptions]) -> tuple[T, ...]: ...
@overload
def run(target: list[LazyResult[T]], params: Given = None, **options: Unpack[RunOptions]) -> list[T]: ...
@overload
def run(target: dict[K, LazyResult[T]], params: Given = None, **options: Unpack[RunOptions]) -> dict[K, T]: ...
@overload
def run(target: set[LazyResult[T]], params: Given = None, **options: Unpack[RunOptions]) -> set[T]: ...
@overload
def run(target: Any, params: Given = None, **options: Unpack[RunOptions]) -> Any: ...
def run(
    target: Any,
    params: Mapping[str, Any] | None = None,
    *,
    engine: str = "auto",
    capacity: Mapping[str, Any] | None = None,
    time_slice: float = _TIME_SLICE,
    pools: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Any:
    """Run ``target`` to its end and return its value.

    :param target: a LazyResult, a workflow, or a list, tuple, dict or set of LazyResults (the result then has the same form).
    :param params: values for the inputs of the graph (S20).
    :param engine: "auto" compiles the shape of the graph once, interprets it, and generates Python code for a shape that has run often;
        "interpreter" and "codegen" do only the one; "graph" is the reference evaluator, for comparison.
    :param capacity: how much there is of what calls hold by ``with_constraints``, by name: ``{"gpu": 1}`` (S22).
    :param time_slice: seconds between yields to the event loop at tail calls, where there is a loop; 0 yields at every one.
    :param pools: executors of ``concurrent.futures`` for tasks in modes "thread" and "process", by mode: they stay open. Without them a run
        makes its own at first need, and closes them (S23).
    :param resources: values in place of resources, by name: what tests give for what they do not want to set up (S21).
    :raises CompileError: the graph has no meaning. Nothing has been run.
    :raises CapacityError: a call needs more than ``capacity`` has at all. Nothing has been run.
    :raises TargetSkipped: a condition was false, and the target has no value.
    :raises InputError: inputs are missing, unknown or ill-typed; all of them in one error. Nothing has been run.
    :raises EventLoopRunning: the graph has to wait, and this thread runs an event loop already: use ``arun``.

    What a task raises is raised as it is, with one note that names the task and where it was called.
    """
    options = None
    if params is capacity is pools is resources is None and time_slice is _TIME_SLICE and type(engine) is str:
        options = _PLAIN.get(engine)
    if options is None:
        options = _options(params, engine, capacity, time_slice, pools, resources)
    target, declared = (target, ()) if type(target) is LazyResult else _target(target)
    given = dict(params) if params else {}
    if engine == "graph":
        from cascade_compiler import graph_mode  # here, since it needs asyncio, and most programs never come here

        return graph_mode.run(
            target, given, declared, time_slice=time_slice, capacity=capacity, pools=pools, resources=resources
        )
    outcome = run_activation(activate(target, given, root=True, declared=declared), given, options)
    if type(outcome) is Value:
        return outcome.value
    raise presentable(outcome)


@overload
async def arun(target: LazyResult[T], params: Given = None, **options: Unpack[RunOptions]) -> T: ...
@overload
async def arun(target: Workflow[..., Any, T], params: Given = None, **options: Unpack[RunOptions]) -> T: ...
@overload
async def arun(target: tuple[LazyResult[A], LazyResult[B]], params: Given = None, **options: Unpack[RunOptions]) -> tuple[A, B]: ...
@overload
async def arun(
    target: tuple[LazyResult[A], LazyResult[B], LazyResult[C]], params: Given = None, **options: Unpack[RunOptions]
) -> tuple[A, B, C]: ...
@overload
async def arun(target: tuple[LazyResult[T], ...], params: Given = None, **options: Unpack[RunOptions]) -> tuple[T, ...]: ...
@overload
async def arun(target: list[LazyResult[T]], params: Given = None, **options: Unpack[RunOptions]) -> list[T]: ...
@overload
async def arun(target: dict[K, LazyResult[T]], params: Given = None, **options: Unpack[RunOptions]) -> dict[K, T]: ...
@overload
async def arun(target: set[LazyResult[T]], params: Given = None, **options: Unpack[RunOptions]) -> set[T]: ...
@overload
async def arun(target: Any, params: Given = None, **options: Unpack[RunOptions]) -> Any: ...
async def arun(
    target: Any,
    params: Mapping[str, Any] | None = None,
    *,
    engine: str = "auto",
    capacity: Mapping[str, Any] | None = None,
    time_slice: float = _TIME_SLICE,
    pools: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Any:
    """``run`` inside an event loop. Cancelling it cancels and awaits all that is in flight (S18)."""
    options = _options(params, engine, capacity, time_slice, pools, resources)
    target, declared = _target(target)
    given = dict(params) if params else {}
    if engine == "graph":
        from cascade_compiler import graph_mode

        return await graph_mode.arun(
            target, given, declared, time_slice=time_slice, capacity=capacity, pools=pools, resources=resources
        )
    outcome = await arun_activation(activate(target, given, root=True, declared=declared), given, options)
    if type(outcome) is Value:
        return outcome.value
    raise presentable(outcome)


def cycle_id(target: Any) -> str:
    """The digest of the shape of a graph: 40 hexadecimal digits, the same in every process (S27)."""
    target, declared = _target(target)
    return digest(capture(target, declared))


def _target(target: Any) -> tuple[Any, Any]:
    return target.trace() if isinstance(target, Workflow) else (target, ())


def _options(params: Any, engine: str, capacity: Any, time_slice: float, pools: Any, resources: Any) -> Options:
    """How to run, checked.

    :raises TypeError, ValueError: it is not as ``run`` takes it.
    """
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(f"params takes a dict of inputs by name, not {type(params).__name__!r}")
    if type(engine) is not str or engine not in _PLAIN:
        raise ValueError(f"unknown engine {engine!r}: expected one of {', '.join(_PLAIN)}")
    check_time_slice(time_slice)
    check_pools(pools)
    check_overrides(resources)
    return Options(time_slice, capacity, pools, resources, engine)
