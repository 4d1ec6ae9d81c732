"""Graphs that the generator of the property tests has drawn, and an engine has run wrongly: as they were printed, but for their size."""

from __future__ import annotations

from cascade_compiler.testing import Call, GraphSpec, Ref, check_spec


def test_who_needs_nothing_of_a_capacity_waits_behind_nobody() -> None:
    check_spec(
        GraphSpec(
            (
                Call(delay=2, holds=(("gpu", 1),)),
                Call(delay=2, holds=(("gpu", 1),)),
                Call(delay=1),
                Call((Ref(2),), delay=1, holds=(("gpu", 0),)),
                Call((Ref(0), Ref(1), Ref(3))),
            ),
            Ref(4),
            capacity=(("gpu", 1),),
        )
    )
