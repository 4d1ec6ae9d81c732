"""Every blueprint that a test here compiles is verified, and written down and read again, whatever the test is about."""

from __future__ import annotations

from typing import Any

import pytest

from cascade_compiler import cache
from cascade_vm import assemble, disassemble, verify


@pytest.fixture(autouse=True)
def _checked(monkeypatch: pytest.MonkeyPatch) -> None:
    link = cache.link_emitted

    def checked(emitted: Any) -> Any:
        verify(emitted.blueprint)
        if len(emitted.blueprint.instructions) < 2_000:
            assert assemble(disassemble(emitted.blueprint)) == emitted.blueprint
        return link(emitted)

    monkeypatch.setattr(cache, "link_emitted", checked)


# What the reference engine does not have yet: resources, and the telling of events. Modules, classes and functions that are about them.
_COMPILED_ONLY = {
    "test_resources", "test_events", "TestTheBigOne", "TestResourcesWith", "test_alone", "test_a_resource_and_a_thread",
    "test_the_consumer_comes_before_what_stands_behind",
}  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the reference engine does not have; it refuses that (``test_graph_mode_refuses_resources``)."""
    kept = []
    left_out = []
    for item in items:
        engine = item.callspec.params.get("engine") if hasattr(item, "callspec") else None
        names = {part.split("[")[0].removesuffix(".py") for part in item.nodeid.replace("/", "::").split("::")}
        (left_out if engine == "graph" and names & _COMPILED_ONLY and "constructs" in names else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
