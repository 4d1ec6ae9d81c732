"""Hypothesis strategies for jumps: a few states, with routes that need nodes of the graph anew in each round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_compiler.testing.policy_strategies import one_in
from cascade_compiler.testing.value_strategies import Keys, atoms, keywords

from hypothesis import strategies as st  # isort: skip
from cascade_compiler.testing.resource_strategies import draw_uses
from cascade_compiler.testing.specs import Arg, Expr, Jumps, Move, Node, State
from cascade_compiler.testing.walks import counts_attempts

if TYPE_CHECKING:
    from cascade_compiler.testing.policy_strategies import Drawing

_NAMES = ("a", "b")


def draw_jumps(drawing: Drawing, before: list[Node], args: Keys) -> Jumps:
    """A call with routes to one to three states."""
    draw, features = drawing.draw, drawing.features
    size = draw(st.integers(1, 3))
    reach = 0 if any(map(counts_attempts, before)) else len(before)  # what routes need runs in each round
    data = st.sampled_from((Arg("a"), Arg("b"), None, 0, 1, "", "a"))

    def move() -> Move:
        how = draw(st.sampled_from(("first", "first", "keywords", "keywords", "nothing")))
        names = draw(st.lists(st.sampled_from(_NAMES), max_size=2, unique=True)) if how == "keywords" else []
        return Move(draw(st.integers(0, size - 1)), how, tuple([(name, draw(data)) for name in names]))

    def state() -> State:
        moves = tuple([move() for _ in range(draw(st.integers(1, 2)))])
        ends = draw(st.sampled_from(("value", "data", "data", "nothing", *(["nowhere"] if drawing.failing else []))))
        written: tuple[tuple[str, Expr], ...] = draw(keywords(reach, args, 1, features, _NAMES))
        if drawing.resources and len(written) < 2 and (used := draw_uses(drawing, ())[0]):
            written = (*written, ("b" if written and written[0][0] == "a" else "a", used[0]))
        return State(moves, drawing.delay(), draw(atoms()), draw(atoms()), ends, written)

    states = tuple([state() for _ in range(size)])
    first: tuple[tuple[str, Expr], ...] = draw(keywords(len(before), args, 1, features, _NAMES))
    after = drawing.after(len(before)) if one_in(draw, 2) else ()
    return Jumps(states, draw(st.sampled_from((2, 3, 1, 4, 0))), draw(st.integers(0, size - 1)), first, after)
