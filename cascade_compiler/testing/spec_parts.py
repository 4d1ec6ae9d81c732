"""What specs are made of: their base, expressions, and what a call is told beyond its arguments. See ``specs``."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Final


class Spec:
    """Base of all specs: ``repr`` is a runnable expression, positional where it can be, without defaults.

    Specs are equal if their texts are: 0 and False differ, and NaN is NaN.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and repr(other) == repr(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        parts = []
        skipped = False
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.default is not MISSING and type(value) is type(field.default) and value == field.default:
                skipped = True
            else:
                parts.append(f"{field.name}={value!r}" if skipped else repr(value))
        return f"{type(self).__name__}({', '.join(parts)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # how Hypothesis prints a failing example


# --- expressions: what stands where an argument may stand ----------------------------------------------------------------
# None, bool, int, float, str and bytes stand for themselves.

Expr = Any


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Ref(Spec):
    """The value of an earlier node of the same graph. Several Refs to one node share it."""

    node: int


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Arg(Spec):
    """In a graph that a task returns: the value of that call's argument, by position or by name."""

    key: int | str


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class ListOf(Spec):
    items: tuple[Expr, ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class TupleOf(Spec):
    items: tuple[Expr, ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class SetOf(Spec):
    """At most one Ref, and only None, str and bytes beside it: then nothing depends on the order of the set."""

    items: tuple[Expr, ...] = ()
    frozen: bool = False


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class DictOf(Spec):
    pairs: tuple[tuple[Expr, Expr], ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Lit(Spec):
    """``literal(...)`` of a value without Refs."""

    value: Expr


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Use(Spec):
    """``inject(...)`` of a resource of the outermost graph: its value."""

    resource: int


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"  # the one that there is, in a pickled spec too


ABSENT: Final[Any] = _Absent()


# --- what a call is told beyond its arguments -----------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class When(Spec):
    """``run_if(test)``, or ``run_if(test, otherwise)``. Of several, the last is asked first."""

    test: Expr
    otherwise: Expr = ABSENT


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RetrySpec(Spec):
    """``with_retry``: ``delay`` seconds of wait, the next one ``backoff`` times as long; ``on`` are names of builtin exceptions."""

    attempts: int = 3
    delay: int = 0
    backoff: int = 1
    on: tuple[str, ...] = ("Exception",)


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RateSpec(Spec):
    """``with_rate_limit``: starts of attempts under one name are ``per / rate`` seconds apart. One name, one pair of numbers."""

    name: str
    rate: int = 1
    per: int = 1


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class ResourceSpec(Spec):
    """``@resource(scope=...)``, which gives (its name, what it injects ...). ``delay`` None is a sync generator; an int an async one.

    An async one takes ``delay`` seconds to be set up, and ``down`` to be torn down. ``fails`` is "", "up" or "down". ``given`` is a value
    that the run has in its place.
    """

    scope: str = "run"
    delay: int | None = None
    down: int = 0
    needs: tuple[int, ...] = ()
    fails: str = ""
    given: Expr = ABSENT
