"""Hypothesis strategies for what calls share: capacity and rate limits.

Amounts are such that a few calls at once are too many, and starts are whole seconds apart, so that what waits meets what else happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.policy_strategies import one_in, value_of

from hypothesis import strategies as st  # isort: skip
from cascade_compiler.testing.specs import Expr, Node, RateSpec, Ref
from cascade_compiler.testing.walks import conditions

if TYPE_CHECKING:
    from cascade_compiler.testing.policy_strategies import Drawing

CAPACITIES = ((("gpu", 1),), (("gpu", 2), ("mem", 1)), (("gpu", 2), ("mem", 3)), (("gpu", 3), ("mem", 1.5)))
_HOLDS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("gpu", 1),), (("gpu", 1),), (("gpu", 2),), (("mem", 1),), (("gpu", 1), ("mem", 1)), (("mem", 1.5),), (("gpu", 0.5),), (("mem", 0),),
)  # fmt: skip
_RATES = (RateSpec("api", 1, 2), RateSpec("api", 1, 2), RateSpec("db", 3, 3))


def draw_limits(drawing: Drawing, before: list[Node]) -> dict[str, Any]:
    """The fields of a Call or a Map that are about what it shares with others."""
    draw, features = drawing.draw, drawing.features
    made: dict[str, Any] = {}
    often = 2 if drawing.limiting else 5
    if "constraints" in features and drawing.capacity and (one_in(draw, often) or (drawing.limiting and one_in(draw, 2))):
        made["holds"] = _draw_amounts(drawing, before)
    if "rates" in features and one_in(draw, often):
        made["rate"] = draw(st.sampled_from(_RATES))
    if "caches" in features and not one_in(draw, 3 if drawing.caching else 2) and (drawing.caching or one_in(draw, 3)):
        made["cache"] = draw(st.sampled_from(("c", "c", "d")))
    return made


def _draw_amounts(drawing: Drawing, before: list[Node]) -> tuple[tuple[str, Expr], ...]:
    draw, totals = drawing.draw, dict(drawing.capacity)
    too_much = (drawing.failing or drawing.limiting) and one_in(draw, 12)
    fitting = [h for h in _HOLDS if too_much or all(name in totals and much <= totals[name] for name, much in h)]
    holds: list[tuple[str, Expr]] = list(draw(st.sampled_from(fitting)))
    # What is no number, or too much, shows only when the call is to be made.
    plain = {i: value_of(node) for i, node in enumerate(before) if not conditions(node)}
    fine = [i for i, value in plain.items() if type(value) in ((int, bool, str) if drawing.failing else (int,))]
    if fine and one_in(draw, 2):
        holds[0] = (holds[0][0], Ref(draw(st.sampled_from([*fine, *(i for i in fine if plain[i])]))))
    return tuple(holds)
