"""What one instruction costs, by its linked form, beside the same calls on one line of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.case import Case, Work
from bench.loops import chain, f
from bench.matching import total
from cascade_compiler import compile, task
from cascade_vm import link

_CALLS = 60
_RUNS = 200


@task
def one(x: int) -> int:
    return x


@task
def two(x: int, y: int) -> int:
    return x


@task
def three(x: int, y: int, z: int) -> int:
    return x


def _independent(node: Any, arity: int) -> Any:
    return total(*[node(*range(at, at + arity)) for at in range(_CALLS)])


def _source(name: str, arity: int) -> str:
    calls = ", ".join(f"{name}({', '.join(str(at + k) for k in range(arity))})" for at in range(_CALLS))
    return f"total({calls})"


def _by_hand(expression: str, expect: int) -> Work:
    scope = {"one": one.fn, "two": two.fn, "three": three.fn, "total": total.fn, "f": f, "RUNS": range(_RUNS)}
    exec(f"def call():\n for _ in RUNS:\n  value = {expression}\n return value\n", scope)
    return Work(scope["call"], _RUNS * _CALLS, expect=expect)  # type: ignore[arg-type]


def _maker(target: Callable[[], Any], form: int, least: int, expression: str) -> Callable[[], tuple[Work, Work]]:
    def make() -> tuple[Work, Work]:
        exe = compile(target()).link(engine="interpreter")
        forms = [linked[0] for linked in exe._code.entry]
        if forms.count(form) < least:
            raise AssertionError(f"the program has {forms.count(form)} instructions of form {form}, not {least}")

        def call() -> Any:
            value = None
            run = exe.run
            for _ in range(_RUNS):
                value = run()
            return value

        return Work(call, _RUNS * _CALLS, expect=_CALLS), _by_hand(expression, _CALLS)

    return make


def cases() -> Iterator[Case]:
    forms = (("CALL_1", link.CALL_1, one, 1), ("CALL_2", link.CALL_2, two, 2), ("CALL_N", link.CALL_N, three, 3))
    for name, form, node, arity in forms:
        by_hand = _source(node.__name__, arity)
        target = partial(_independent, node, arity)
        yield Case(f"dispatch {name}", "call", "by hand", _maker(target, form, _CALLS, by_hand))
    nested = "f(" * _CALLS + "0" + ")" * _CALLS
    yield Case("dispatch CHAIN", "call", "by hand", _maker(partial(chain, _CALLS, 0), link.CHAIN, 1, nested))


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.dispatch", cases())
