"""What holds however a run ends: what was set up is torn down, once, the last first; nothing runs on (P7, P8, S18, S21)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cascade_compiler.testing.behaviour import resource_name
from cascade_compiler.testing.resource_functions import DOWN
from cascade_compiler.testing.spec_tools import graphs_with, named_nodes
from cascade_compiler.testing.specs import Call, Map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_compiler.testing.events import Event
    from cascade_compiler.testing.observe import Observation


def resources_left(seen: Observation) -> Iterator[str]:
    """S21, by the log of a run."""
    spec = seen.spec
    if not spec.resources:
        return
    by_name = {resource_name(number): one for number, one in enumerate(spec.resources)}
    stacks = [{name for name, one in by_name.items() if one.scope == "run"}]
    if graphs_with(spec) <= 1:  # else two scopes may end in any order
        stacks.append({name for name, one in by_name.items() if one.scope == "step"})
    up = Counter(event.task for event in seen.events if event.kind == "end" and event.task in by_name)
    down = Counter(event.task.removesuffix(DOWN) for event in seen.events if event.kind == "start" and event.task.endswith(DOWN))
    if up != down:
        yield f"resources (S21): set up {dict(up)}, torn down {dict(down)}"
        return
    for event in seen.events:
        if event.kind == "cancelled" and event.task.endswith(DOWN):
            yield f"resources (S18, S21): {event.task} was interrupted at {event.time:g}"
    for names in stacks:
        yield from _out_of_order(seen.events, names)


def _out_of_order(events: tuple[Event, ...], names: set[str]) -> Iterator[str]:
    """What of one scope was not torn down in the reverse order of the ends of the set-ups. Of two that end at once, either may be first."""
    standing: list[tuple[str, float]] = []
    for event in events:
        if event.kind == "end" and event.task in names:
            standing.append((event.task, event.time))
        elif event.kind == "start" and event.task.endswith(DOWN) and event.task.removesuffix(DOWN) in names:
            last, time = standing[-1]
            ended = next((at for at in range(len(standing) - 1, -1, -1) if standing[at][0] + DOWN == event.task), None)
            if ended is None or standing[ended][1] < time:
                yield f"resources (S21): {event.task} at {event.time:g}, and {last} was set up later"
                return
            del standing[ended]


def end_after(seen: Observation, failed: float) -> float:
    """When a run is to end that failed at ``failed``: nothing interrupts a tear-down, a thread or a process."""
    ends = {event.call: event.time for event in seen.events if event.kind in ("end", "raised")}
    pools = {name for name, node, _ in named_nodes(seen.spec) if isinstance(node, (Call, Map)) and node.mode != "inline"}
    last = [ends.get(event.call, failed) for event in seen.events if event.task.endswith(DOWN) or event.task in pools]
    return max([failed, *last])
