"""The Python functions behind the calls of a spec: plain, undecorated, each writing into the log.

They are shared by ``build`` (which decorates them) and ``eager`` (which calls them), so that both run the same user code; all
that differs is who calls it, when, and with what. Where a task returns a graph, ``go`` makes what it returns.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.show import show, show_call
from cascade_compiler.testing.spec_tools import constant
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    All,
    Arg,
    Call,
    Const,
    Expr,
    First,
    Gather,
    Go,
    GraphSpec,
    Input,
    Item,
    Jumps,
    Lit,
    Loop,
    Map,
    Node,
    Raises,
    RaisesOn,
    Ref,
    ResourceSpec,
    Router,
    Spec,
    State,
    Use,
)
from cascade_compiler.testing.virtual_pool import takes
from cascade_vm.errors import RouteNotFound, TargetSkipped

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Log


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a graph stands: the prefix of its nodes' names, the arguments that ``Arg`` means, the inputs of the run."""

    prefix: str = ""
    args: Mapping[int | str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[ResourceSpec, ...] = ()

    def name(self, position: int) -> str:
        return f"{self.prefix}t{position}"

    def inside(self, name: str, args: Mapping[int | str, Any]) -> Scope:
        """The scope of a graph that the call ``name`` returned."""
        return Scope(f"{name}.", args, self.inputs, self.resources)


@dataclass(frozen=True, slots=True)
class NextRound:
    """What a member of a loop returns before the last round: go on with ``loop.members[member].steps[step]``."""

    name: str
    loop: Loop
    member: int
    step: int
    args: Mapping[int | str, Any]


@dataclass(frozen=True, slots=True)
class NextJump:
    """What a state of jumps returns: a Jump to the route of ``key``, which is a state's number, "end", or "nowhere"."""

    key: int | str
    data: Any = ABSENT


Go_ = Callable[[GraphSpec, Scope], Any]


def resource_name(number: int) -> str:
    return f"<r{number}>"


def arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int | str, Any]:
    """What ``Arg`` may mean in the graph that a call returned: its arguments by position and by name."""
    found: dict[int | str, Any] = dict(enumerate(args))
    found.update(kwargs)
    return found


def first_argument(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return next(iter((*args, *kwargs.values())), None)


def perform(name: str, does: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call computes, or raises; a ``Go`` is returned as it is."""
    match does:
        case All():
            return (name, args, tuple(kwargs.items()))
        case Const(value):
            return constant(value)
        case First():
            return first_argument(args, kwargs)
        case Raises(kind):
            raise getattr(builtins, kind)(name)
        case RaisesOn(value, kind):
            if show(first_argument(args, kwargs)) == show(constant(value)):
                raise getattr(builtins, kind)(name)
            return (name, args, tuple(kwargs.items()))
        case Go():
            return does
    raise TypeError(f"no task of a spec does {does!r}")


def duration(call: Call | Map, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, failing: bool) -> int:
    """The seconds that an attempt takes, if nothing cuts it short."""
    seconds = (call.delay or 0) + (call.stuck if failing else 0)
    first = first_argument(args, kwargs)
    slower = isinstance(call, Map) and call.delay is not None and type(first) is int and 0 < first < 10
    return seconds + first if slower else seconds


def cached_call(name: str, args: tuple[Any, ...] | list[Any], kwargs: Mapping[str, Any]) -> str:
    """What is the same for two calls of which a cache has one value."""
    return f"{name}{show_call(tuple(args), dict(sorted(kwargs.items())))}"


def in_vain(name: str) -> Exception:
    """What one of the first ``fails`` attempts of a call raises."""
    return ValueError(name)


def call_function(name: str, call: Call | Map, scope: Scope, log: Log, go: Go_) -> Callable[..., Any]:
    """The function of a ``Call``, or of the items of a ``Map``."""

    def body(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = perform(name, call.does, args, kwargs)
        if type(result) is Go:
            return go(result.graph, scope.inside(name, arguments(args, kwargs)))
        return result

    if call.delay is None:

        def function(*args: Any, **kwargs: Any) -> Any:
            return _recorded(log, name, args, kwargs, body, call.fails)

        return function

    if call.mode != "inline":

        def pool_function(*args: Any, **kwargs: Any) -> Any:
            def seconds(failing: bool) -> int:
                return duration(call, args, kwargs, failing=failing)

            return _recorded_in_pool(log, name, args, kwargs, body, seconds, call.fails)

        return pool_function

    async def async_function(*args: Any, **kwargs: Any) -> Any:
        def seconds(failing: bool) -> int:
            return duration(call, args, kwargs, failing=failing)

        return await _recorded_async(log, name, args, kwargs, body, seconds, call.fails)

    return async_function


def member_function(name: str, loop: Loop, member: int, log: Log, go: Callable[[NextRound], Any]) -> Callable[..., Any]:
    """The function of a member of a loop; ``name`` is the loop's. Its defaults are real ones, so that omitting works."""
    spec = loop.members[member]
    own = f"{name}.m{member}"

    def body(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        n, a, b = args
        if n == 0:
            return (own, a, b)
        return go(NextRound(own, loop, member, n % len(spec.steps), {"n": n, "a": a, "b": b}))

    return _of_a_round(log, own, spec, body)


def _of_a_round(log: Log, own: str, spec: Any, body: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> Callable[..., Any]:
    """A function of a round's number and two values more, which have defaults; it waits, if its step or state does."""
    default_a, default_b = constant(spec.a), constant(spec.b)
    if spec.delay is None:

        def function(n: Any, a: Any = default_a, b: Any = default_b) -> Any:
            return _recorded(log, own, (n, a, b), {}, body)

        return function
    delay = spec.delay

    async def async_function(n: Any, a: Any = default_a, b: Any = default_b) -> Any:
        return await _recorded_async(log, own, (n, a, b), {}, body, lambda _: delay)

    return async_function


def state_function(name: str, jumps: Jumps, number: int, log: Log, jump: Callable[[NextJump], Any]) -> Callable[..., Any]:
    """The function of a state of jumps; ``name`` is that of their node."""
    spec = jumps.states[number]
    own = f"{name}.j{number}"

    def body(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = moved(own, spec, *args)
        return jump(result) if type(result) is NextJump else result

    return _of_a_round(log, own, spec, body)


def moved(own: str, state: State, n: int, a: Any, b: Any) -> Any:
    """What the state called ``own`` returns: a NextJump, or a value."""
    if n == 0:
        ends = {"value": (own, a, b), "data": NextJump("end", (own, a, b)), "nothing": NextJump("end"), "nowhere": NextJump("nowhere")}
        return ends[state.ends]
    move = state.moves[n % len(state.moves)]
    if move.how == "nothing":
        return NextJump(move.to)
    if move.how == "first":
        return NextJump(move.to, n - 1)
    scope = {"a": a, "b": b}
    named = {key: scope[str(expr.key)] if type(expr) is Arg else constant(expr) for key, expr in move.kwargs}
    return NextJump(move.to, {"n": n - 1, **named})


def jumped(jumps: Jumps, jump: NextJump) -> tuple[int, dict[str, Any]] | None:
    """The state that a jump leads to, and what of its arguments is overridden; None at the end.

    :raises RouteNotFound: it leads nowhere.
    """
    if jump.key == "end":
        return None
    if jump.key == "nowhere":
        raise RouteNotFound
    data = {} if jump.data is ABSENT else jump.data if type(jump.data) is dict else {"n": jump.data}
    return int(jump.key), {"n": 0, **data}


Body = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def _recorded(log: Log, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], body: Body, fails: int = 0) -> Any:
    call = log.start(name, args, kwargs, is_async=False)
    try:
        if fails and log.earlier_attempts(call) < fails:
            raise in_vain(name)
        result = body(args, kwargs)
    except Exception:
        log.stop(call, "raised")
        raise
    log.stop(call, "end")
    return result


def _recorded_in_pool(
    log: Log, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], body: Body, seconds: Callable[[bool], int], fails: int
) -> Any:
    call = log.start(name, args, kwargs, is_async=True)
    failing = fails > 0 and log.earlier_attempts(call) < fails
    kind = "raised"
    try:
        if failing:
            raise in_vain(name)
        result = body(args, kwargs)
        kind = "end"
    finally:
        takes(seconds(failing), lambda: log.stop(call, kind))
    return result


async def _recorded_async(
    log: Log, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], body: Body, seconds: Callable[[bool], int], fails: int = 0
) -> Any:
    call = log.start(name, args, kwargs, is_async=True)
    failing = fails > 0 and log.earlier_attempts(call) < fails
    try:
        if delay := seconds(failing):
            await asyncio.sleep(delay)
        if failing:
            raise in_vain(name)
        result = body(args, kwargs)
    except asyncio.CancelledError:
        log.stop(call, "cancelled")
        raise
    except Exception:
        log.stop(call, "raised")
        raise
    log.stop(call, "end")
    return result


# --- what did not run -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Skip:
    """The value of what a condition kept from running: the label of the call, and that of the condition."""

    call: str
    condition: str

    def error(self) -> TargetSkipped:
        """What a run raises whose target this is; where the call was written is left out."""
        return TargetSkipped(f"the target was skipped: {self.call} runs only if {self.condition} is true, and it was false")


def skip(nodes: tuple[Node, ...], node: Call | Map, name: str, test: Expr, scope: Scope) -> Skip:
    """The value of ``node``, called ``name``, where ``test`` is false."""
    return Skip(_label(node, name), _test_label(nodes, test, scope))


def timed_out(name: str, seconds: float) -> TimeoutError:
    return TimeoutError(f"{_qualified(name)} took longer than {seconds:g} seconds")


def choose(router: Router, key: Any) -> Expr:
    """The route that ``key`` chooses, as an entry of a dict.

    :raises RouteNotFound: there is none, and no default.
    """
    table = dict(router.routes)
    try:
        return table[key]
    except (KeyError, TypeError):
        if router.default is ABSENT:
            raise RouteNotFound(f"there is no route for {key!r}: the routes are {', '.join(map(repr, table))}") from None
        return router.default


def _qualified(name: str) -> str:
    return f"{__name__}.{name}"


def _label(node: Node, name: str) -> str:
    match node:
        case Map():
            return f"{_qualified(name)}.map"
        case Loop(first=first):
            return f"{_qualified(name)}.m{first.member}"
        case Jumps(first=state):
            return f"{_qualified(name)}.j{state}"
        case Input(key):
            return f"Param {key}"
        case Item() | Gather() | Router():
            return type(node).__name__.lower()
    return _qualified(name)


def _test_label(nodes: tuple[Node, ...], test: Expr, scope: Scope) -> str:
    match test:
        case Ref(position):
            node = nodes[position]
            return _label(node, scope.name(node.of if isinstance(node, Again) else position))
        case Lit(value):
            return repr(constant(value))
        case Use(resource):
            return f"resource {_qualified(resource_name(resource))}"
        case Arg(key):
            return repr(scope.args[key])
    return repr(constant(test))  # it was false, so it is short, and there is no Ref in it
