"""``explain``: what the compiler makes of a target."""

from __future__ import annotations

import pytest

from cascade_compiler import cache_info, compile, cycle_id, explain, gather, run, task, workflow


@pytest.fixture
def tasks():
    """New tasks, whose shapes nobody knows."""

    @task(pure=True)
    def double(x):
        return 2 * x

    @task
    def add(*values):
        return sum(values)

    @task
    async def fetch(x):
        return x

    return double, add, fetch


class TestCache:
    def test_an_unknown_root(self, tasks):
        double, add, _ = tasks
        found = explain(add(double(1)))
        assert (found.state, found.hits) == ("not in the cache", 0)
        assert found.miss == "no shape of this root was known"
        assert found.cycle_id == cycle_id(add(double(1)))

    def test_it_changes_nothing(self, tasks):
        double, add, _ = tasks
        before = cache_info()
        explain(add(double(1)))
        explain(add(double(1)))
        assert cache_info() == before

    def test_why_it_missed(self, tasks):
        double, add, fetch = tasks
        run(add(double(1), 2))
        found = explain(add(fetch(1), 2))
        assert found.state == "not in the cache"
        assert "fetch" in found.miss
        assert "and in the nearest known shape" in found.miss

    def test_a_known_shape(self, tasks):
        double, add, _ = tasks
        for at in range(3):
            run(add(double(at)))
        found = explain(add(double(9)))
        assert (found.state, found.hits, found.recognised_by, found.miss) == ("in the cache", 2, "matcher", "")

    def test_a_container_and_a_workflow(self, tasks):
        double, add, _ = tasks

        @workflow
        def both(n: int):
            return add(double(n), n)

        assert explain(both).inputs == ("n",)
        assert explain([double(1), double(2)]).instructions == 4
        assert explain(gather(double(1), double(2))).target == "gather"


class TestTiers:
    def test_cold_then_hot(self, tasks):
        double, add, _ = tasks
        assert explain(add(double(1))).tier == "interpreted; generated from the 200th graph of the shape on (0 so far)"
        for at in range(250):
            run(add(double(at)))
        found = explain(add(double(1)))
        assert found.tier == "generated"
        assert [one.generated for one in found.strands] == [True]

    def test_why_not(self, tasks):
        double, add, fetch = tasks
        found = explain(add(fetch.map([1, 2]), double(1)))
        assert found.strands[0].why_not == "since the machine is to do map"
        assert "cannot be generated, since the machine is to do map" in str(found)

    def test_programs(self, tasks):
        double, add, _ = tasks
        program = compile(add(double(1)))
        assert explain(program).tier == "not linked, so no code is there to run"
        assert explain(program).state == "program"
        assert explain(program.link(engine="codegen")).tier == "generated as one function, for this very program"


class TestShown:
    def test_text(self, tasks):
        double, add, _ = tasks
        shown = str(explain(add(double(1), 2)))
        lines = shown.splitlines()
        assert lines[0].endswith(f"add: shape {cycle_id(add(double(1), 2))}")
        assert lines[1] == "  not in the cache: no shape of this root was known"
        assert lines[2].startswith("  code: 2 instructions in 1 strand, ")
        assert lines[3] == "  pass merge_twins: changed nothing"

    def test_passes_that_change_something(self, tasks):
        double, add, _ = tasks
        one = 5
        argument = double(one)
        found = explain(add(double(argument), double(argument)))
        (effect,) = found.passes
        assert (effect.name, effect.changed, effect.before - effect.after) == ("merge_twins", True, 1)

    @pytest.mark.parametrize("target", [5, "text", None, print])
    def test_what_does_not_run(self, target):
        with pytest.raises(TypeError, match="explain takes a LazyResult"):
            explain(target)
