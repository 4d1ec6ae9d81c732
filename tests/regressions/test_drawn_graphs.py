"""Graphs that the generator of the property tests has drawn, and an engine has run wrongly: as they were printed, but for their size."""

from __future__ import annotations

from cascade_compiler.testing import Call, Gather, Go, GraphSpec, Ref, ResourceSpec, Use, When, check_spec


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


def test_parameters_behind_star_args_are_injected() -> None:
    check_spec(GraphSpec((Call((1, 2, 3), injects=(("db", 0),)),), Ref(0), resources=(ResourceSpec(),)))


def test_what_ends_without_having_waited_does_not_lose_the_strand_that_stands_at_its_graph() -> None:
    returned = Go(GraphSpec((Call(delay=0, when=(When(True),)),), Ref(0)))
    check_spec(GraphSpec((Call(does=returned), Gather((Ref(0), 2))), Ref(1)))


def test_resources_of_a_step_end_in_the_reverse_order_of_the_ends_of_their_set_ups() -> None:
    slow, quick = ResourceSpec("step", delay=2, down=1), ResourceSpec("step", delay=1, down=1)
    check_spec(GraphSpec((Call((Use(0), Use(1))), Call((Ref(0),))), Ref(1), resources=(slow, quick)))


def test_what_only_a_replaced_resource_and_one_that_nobody_needs_inject_is_not_set_up() -> None:
    resources = (ResourceSpec(), ResourceSpec(needs=(0,)), ResourceSpec(needs=(1, 0), given=5))
    check_spec(GraphSpec((Call(injects=(("db", 2),)),), Ref(0), resources=resources))
