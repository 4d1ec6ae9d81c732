"""LazyResult: one immutable node of a graph of calls that have not been made yet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from sys import _getframe
from types import CodeType, GenericAlias
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Protocol, TypeVar, overload

import msgspec

from cascade_compiler import policy as policies
from cascade_compiler.policy import Condition, Policy
from cascade_vm.bounded import bounded
from cascade_vm.continuation import Continuation
from cascade_vm.errors import LazyUseError
from cascade_vm.inputs import MISSING
from cascade_vm.notes import short
from cascade_vm.pictured import Pictured
from cascade_vm.sites import line_of, portable_path

A = TypeVar("A")

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultingTypeVar

    from cascade_compiler.node_kinds import NodeKind

    T_co = DefaultingTypeVar("T_co", covariant=True, default=Any)

    # What derives from Any is accepted wherever a value is taken: see docs/decisions/0023-lazy-results-for-type-checkers.md.
    class _Stated(msgspec.Struct, Any, Generic[T_co], frozen=True):  # type: ignore[misc]
        """The base of LazyResult as type checkers see it."""

        @property
        def __getitem__(self) -> _Items[T_co]: ...

        # What needs the value, and raises LazyUseError when it is met: as much of that as can be told without refusing what is right.
        def __bool__(self) -> _NeedsTheValue: ...
        @property
        def __iter__(self) -> _NeedsTheValue: ...
        @property
        def __await__(self) -> _NeedsTheValue: ...
        @property
        def __enter__(self) -> _NeedsTheValue: ...

    class _NeedsTheValue:
        """Not callable."""

    class _Items(Protocol[T_co]):
        """``lazy[key]``. Not a method: mypy takes a LazyResult for one of any type, and would choose the first of several forms of it."""

        @overload
        def __call__(self: _Items[list[A]], key: int | LazyResult[int], /) -> LazyResult[A]: ...
        @overload
        def __call__(self: _Items[tuple[A, *tuple[Any, ...]]], key: Literal[0], /) -> LazyResult[A]: ...
        @overload
        def __call__(self: _Items[tuple[Any, A, *tuple[Any, ...]]], key: Literal[1], /) -> LazyResult[A]: ...
        @overload
        def __call__(self: _Items[tuple[Any, Any, A, *tuple[Any, ...]]], key: Literal[2], /) -> LazyResult[A]: ...
        @overload
        def __call__(self: _Items[list[A]], key: slice, /) -> LazyResult[list[A]]: ...
        @overload
        def __call__(self: _Items[dict[Any, A]], key: Any, /) -> LazyResult[A]: ...
        @overload
        def __call__(self, key: Any, /) -> LazyResult[Any]: ...
else:
    T_co = TypeVar("T_co", covariant=True)

    class _Stated(msgspec.Struct, frozen=True, eq=False, gc=False):
        """The base of LazyResult when it runs: ``LazyResult[int]`` is for reading only."""

        __class_getitem__ = classmethod(GenericAlias)


class LazyResult(Continuation, Pictured, _Stated[T_co], frozen=True, eq=False, gc=False):
    """The result of a call that will be made when the graph runs.

    Treat it as a value that has not come yet: pass it to other tasks, put it into lists, tuples, dicts and sets, take an
    item of it with ``lazy[key]``, order it with ``after``. Whatever needs the value itself (``if``, ``for``, ``+``,
    ``==``) raises ``LazyUseError`` with the construct to use instead.

    The fields are the compiler's business; ``activate``, which every Continuation has, is the blueprint cache's.
    ``gc=False`` keeps nodes out of the cycle collector's rounds (see
    docs/decisions/0002-nodes-outside-the-collector.md).
    """

    task: NodeKind
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    policy: Policy | None
    code: CodeType
    lasti: int

    def after(self, *others: LazyResult) -> LazyResult[T_co]:
        """This call again, as a new node that runs only after ``others`` have ended; their values are not passed."""
        for other in others:
            if type(other) is not LazyResult:
                raise TypeError(f"after() takes LazyResults, not {type(other).__name__}; unpack a list of them: after(*calls)")
        if self.task.is_input:
            raise TypeError(f"{self!r} cannot come after anything: an input is there before the first call")
        before = self.policy.after if self.policy is not None else ()
        return policies.with_policy(self, after=before + others)

    @overload
    def run_if(self, test: Any) -> LazyResult[T_co]: ...
    @overload
    def run_if(self, test: Any, otherwise: LazyResult[A]) -> LazyResult[T_co | A]: ...
    @overload
    def run_if(self, test: Any, otherwise: A) -> LazyResult[T_co | A]: ...
    def run_if(self, test: Any, otherwise: Any = MISSING) -> LazyResult[Any]:
        """This call again, made only where ``test`` is true (S11).

        Where it is false, neither the call nor what it alone needs runs. The value is ``otherwise`` then, which may be a LazyResult
        and is evaluated only in that case. Without it the call is skipped, and so is everything that takes its value.
        """
        policies.refuse_task(test, "run_if: the condition")
        before = self.policy.conditions if self.policy is not None else ()
        return policies.with_policy(self, conditions=(*before, Condition(test, otherwise)))

    def with_retry(
        self, max_attempts: int = 3, delay: float = 0.0, backoff: float = 1.0, max_delay: float | None = None, jitter: float = 0.0,
        on: type[Exception] | tuple[type[Exception], ...] = Exception, seed: int | None = None,
    ) -> LazyResult[T_co]:  # fmt: skip
        """This call again, tried up to ``max_attempts`` times in all while it raises one of ``on`` (S16).

        :param delay: seconds to wait before the second attempt; other work goes on meanwhile.
        :param backoff: what the wait is multiplied with from one attempt to the next.
        :param max_delay: the longest wait, in seconds; jitter comes on top.
        :param jitter: a share from 0 to 1, by which each wait is varied at random; ``seed`` makes that repeatable.
        """
        self._must_call("with_retry")
        retry, errors = policies.retried(max_attempts, delay, backoff, max_delay, jitter, on, seed)
        return policies.with_policy(self, retry=retry, errors=errors)

    def with_timeout(self, seconds: float) -> LazyResult[T_co]:
        """This call again; each attempt that takes longer than ``seconds`` fails with ``TimeoutError`` (S17).

        :raises CompileError: the task is synchronous and inline, where nothing can interrupt it.
        """
        self._must_call("with_timeout")
        return policies.with_policy(self, timeout=policies.limited_time(self, seconds))

    def with_cache(self, cache: Any) -> LazyResult[T_co]:
        """This call again; a value that ``cache`` has for the same task, version and arguments is taken without a call (S19)."""
        self._must_call("with_cache")
        return policies.with_policy(self, cache=policies.cached(cache))

    def with_constraints(self, **amounts: Any) -> LazyResult[T_co]:
        """This call again, holding so much of the run's capacity while it is made: ``with_constraints(gpu=1)`` (S22).

        Amounts are numbers, or LazyResults of numbers.
        """
        self._must_call("with_constraints")
        return policies.with_policy(self, constraints=policies.constrained(self, amounts))

    def with_rate_limit(self, name: str, rate: float, per: float = 1.0) -> LazyResult[T_co]:
        """This call again, at most ``rate`` times in ``per`` seconds among all calls of the run with a limit of this name (S22)."""
        self._must_call("with_rate_limit")
        return policies.with_policy(self, rate=policies.rate_limited(name, rate, per))

    def _must_call(self, what: str) -> None:
        if not self.task.is_call:
            raise TypeError(f"{what} is for calls of tasks and for maps, and {self!r} is neither: put it on the call itself")

    if not TYPE_CHECKING:  # who see the one of the base

        def __getitem__(self, key):
            from cascade_compiler.node_kinds import ITEM

            caller = _getframe(1)
            return LazyResult(ITEM, (self, key), {}, None, caller.f_code, caller.f_lasti)

    def __repr__(self) -> str:
        # Bounded: one level, never the graph below (a diamond of depth 20 would print megabytes).
        parts = [_short(value) for value in self.args[:6]]
        parts += [f"{bounded(name, 40)}={_short(value)}" for name, value in list(self.kwargs.items())[:6]]
        if len(self.args) > 6 or len(self.kwargs) > 6:
            parts.append("...")
        where = f"{portable_path(self.code.co_filename)}:{line_of(self.code, self.lasti)}"
        return f"<LazyResult {bounded(self.task.label, 80)}({bounded(', '.join(parts), 110)}) at {bounded(where, 80)}>"

    def _drawn(self) -> Any:
        from cascade_compiler.pictures import whole

        return whole(self)

    __hash__ = object.__hash__

    def __copy__(self) -> LazyResult:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyResult:
        return self

    # CPython 3.11 does not specialise reads of attributes of a class that has a __getattr__, and a matcher reads four of each node: there,
    # the advice would cost a third of a match. (Protocol probes, of copy, pickle, numpy, must see AttributeError.)
    if sys.version_info >= (3, 12) and not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"a LazyResult has no attribute {name!r}: its value has not been computed yet. Read attributes of the value "
                f"inside a task, or take an item with lazy[key]."
            )


def _short(value: Any) -> str:
    if type(value) is LazyResult:
        return f"<{bounded(value.task.label, 60)}>"
    if type(value) in (int, float, bool, type(None), complex):
        return short(value)
    if type(value) in (str, bytes):
        return repr(value) if len(value) <= 20 else f"{value[:17]!r}..."
    return f"<{type(value).__name__}>"


# --- uses that need the value: refused where they are written (S5) ----------------------------------------------------


def _refuse(use: str, instead: str) -> Callable[..., NoReturn]:
    def refused(self: LazyResult, *_: Any, **__: Any) -> NoReturn:
        raise LazyUseError(f"{use} needs the value of {self!r}, which has not been computed yet. {instead}")

    return refused


_IN_A_TASK = (
    "Do it inside a task that takes this LazyResult as an argument. (In a task's own body, too, calling a task builds a node: "
    "call its .fn for the value, or return the node to go on with it.)"
)
_REFUSED: dict[str, tuple[str, str]] = {
    "__bool__": ("bool() (if, while, and, or, not)", "Decide inside a task; a task may return the LazyResult to go on with."),
    "__iter__": ("Iterating (for, unpacking, list(), *args)", "Take items with lazy[0], lazy[1], or iterate inside a task."),
    "__len__": ("len()", _IN_A_TASK),
    "__contains__": ("in", _IN_A_TASK),
    "__reversed__": ("reversed()", _IN_A_TASK),
    "__call__": ("Calling", "Call the task again with new arguments, or call the value inside a task."),
    "__format__": ("Formatting (f-string, format())", "Format inside a task; {lazy!r} shows the node itself."),
    "__await__": ("await", "Use `await arun(lazy)`."),
    "__setitem__": ("Item assignment", "A LazyResult is immutable; build the new value inside a task."),
    "__delitem__": ("Item deletion", "A LazyResult is immutable; build the new value inside a task."),
    "__enter__": ("with", _IN_A_TASK),
    "__exit__": ("with", _IN_A_TASK),
    "__eq__": ("==", "Compare inside a task; `is` tests whether two names hold the same node."),
    "__ne__": ("!=", "Compare inside a task; `is not` tests whether two names hold different nodes."),
}
for _symbol, _names in {
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "+": "add radd", "-": "sub rsub", "*": "mul rmul", "/": "truediv rtruediv",
    "//": "floordiv rfloordiv", "%": "mod rmod", "**": "pow rpow", "@": "matmul rmatmul", "<<": "lshift rlshift",
    ">>": "rshift rrshift", "&": "and rand", "|": "or ror", "^": "xor rxor", "unary -": "neg", "unary +": "pos", "~": "invert",
    "abs()": "abs", "int()": "int", "float()": "float", "complex()": "complex", "an index": "index", "round()": "round",
    "divmod()": "divmod rdivmod",
}.items():  # fmt: skip
    for _name in _names.split():
        _REFUSED[f"__{_name}__"] = (_symbol, _IN_A_TASK)
_REFUSED["__index__"] = ("Use as an integer (range(), list[...])", _IN_A_TASK)
for _name, (_use, _instead) in _REFUSED.items():
    setattr(LazyResult, _name, _refuse(_use, _instead))
