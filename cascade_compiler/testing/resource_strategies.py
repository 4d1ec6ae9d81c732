"""Hypothesis strategies for resources, and for what calls take of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.policy_strategies import one_in

from hypothesis import strategies as st  # isort: skip
from cascade_compiler.testing.specs import Expr, ListOf, ResourceSpec, Use

if TYPE_CHECKING:
    from cascade_compiler.testing.policy_strategies import Drawing

PARAMETERS = ("db", "log")  # whose defaults are resources


def draw_resources(draw: Any, *, failing: bool, waiting: bool) -> tuple[ResourceSpec, ...]:
    """One to three resources; each may inject those before it.

    :param waiting: they may be async.
    """
    made: list[ResourceSpec] = []
    for number in range(draw(st.integers(1, 3))):
        scope = "run" if one_in(draw, 2) else "step"
        near = [i for i in range(number) if scope == "step" or made[i].scope == "run"]
        needs = tuple(draw(st.lists(st.sampled_from(near), max_size=2, unique=True))) if near else ()
        delay = draw(st.sampled_from((0, 1, 2))) if waiting and one_in(draw, 2) else None
        down = draw(st.sampled_from((0, 1, 3))) if delay is not None else 0
        fails = draw(st.sampled_from(("down", "up", "down"))) if failing and one_in(draw, 2) else ""
        one = ResourceSpec(scope, delay, down, needs, fails)
        # Deeper, N45 does not say what is set up for what is replaced.
        if not any(made[i].needs for i in needs) and one_in(draw, 8):
            one = ResourceSpec(scope, delay, down, needs, given=draw(st.sampled_from((None, 7, ListOf()))))
        made.append(one)
    return tuple(made)


def draw_uses(drawing: Drawing, args: tuple[Expr, ...]) -> tuple[tuple[Expr, ...], tuple[tuple[str, int], ...]]:
    """What a call takes: ``args``, or some of them and a resource; and the resources that are injected as defaults."""
    draw, count = drawing.draw, len(drawing.resources)
    if not count or (one_in(draw, 3) if drawing.providing else not one_in(draw, 4)):
        return args, ()
    one = draw(st.integers(0, count - 1))
    match draw(st.sampled_from(("default", "default", "argument", "both", "inside", "defaults"))):
        case "argument":
            return (*args, Use(one)), ()
        case "both":
            return (*args, Use(one)), ((PARAMETERS[0], one),)
        case "inside":
            return (*args, ListOf((Use(one), Use(0)))), ()
        case "defaults":
            return args, ((PARAMETERS[0], one), (PARAMETERS[1], draw(st.integers(0, count - 1))))
    return args, ((PARAMETERS[0], one),)
