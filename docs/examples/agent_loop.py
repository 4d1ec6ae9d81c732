"""An agent that plans, acts and observes until its work is done: a robot that clears a field, with a model that errs.

Each turn is a small graph, ``go_on(observe(state, act(state, plan(state))))``. ``go_on`` looks at the new state and returns
either the summary or the next turn's graph: a tail call, so that a thousand turns take no more memory than one. ``plan`` is
async, as a call of a real model is; here it is simulated, and seeded, so that every run of the agent is the same.

    python docs/examples/agent_loop.py
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import Any

from cascade_compiler import LazyResult, run, task, workflow

Spot = tuple[int, int]
DOCK: Spot = (0, 0)
MOVES: dict[str, Spot] = {"north": (0, -1), "south": (0, 1), "west": (-1, 0), "east": (1, 0)}


@dataclass(frozen=True)
class State:
    """All that the agent knows. Each turn makes a new one."""

    seed: int
    size: int
    items: frozenset[Spot]
    full: int  # moves on one charge
    battery: int
    robot: Spot = DOCK
    turn: int = 0
    refused: int = 0
    transcript: tuple[str, ...] = ()


@workflow
def clear_field(seed: int = 7, size: int = 24, items: int = 40) -> Any:
    """Collect all ``items``, which lie at random on a field of ``size`` by ``size``; the value is a summary."""
    return go_on(field(seed, size, items))


@task
def field(seed: int, size: int, items: int) -> State:
    """A new field. The items' places follow from the seed."""
    spots = [(x, y) for y in range(size) for x in range(size) if (x, y) != DOCK]
    full = 4 * size + 24  # across the field and back, and some more
    return State(seed, size, frozenset(random.Random(seed).sample(spots, items)), full, full)


@task
def go_on(state: State) -> LazyResult | dict[str, Any]:
    """The next turn, or the summary when nothing is left to do or to do it with."""
    if state.items and (state.battery or state.robot == DOCK):
        return go_on(observe(state, act(state, plan(state))))
    told = {"turns": state.turn, "left": len(state.items), "refused": state.refused, "battery": state.battery}
    return {**told, "transcript": list(state.transcript)}


@task
async def plan(state: State) -> str:
    """What the model says to do next. One answer in twelve is wrong, as models are."""
    await asyncio.sleep(0)  # here a real agent would wait for its model
    model = random.Random(f"{state.seed}:{state.turn}")
    if model.random() < 1 / 12:
        return model.choice([*MOVES, "pick up", "recharge"])
    nearest = min(state.items, key=lambda spot: (distance(state.robot, spot), spot))
    if state.robot == DOCK and state.battery < state.full:
        return "recharge"
    needed = distance(state.robot, nearest) + distance(nearest, DOCK) + 8  # there and home again, and some errors
    if state.battery < needed and state.robot != DOCK:
        return towards(state.robot, DOCK)
    return "pick up" if state.robot == nearest else towards(state.robot, nearest)


@task
def act(state: State, action: str) -> tuple[dict[str, Any], str]:
    """Do it: what changes in the state, and what there is to tell. The world may refuse."""
    if action == "pick up" and state.robot in state.items:
        return {"items": state.items - {state.robot}}, f"picked up the item at {state.robot}"
    if action == "recharge" and state.robot == DOCK:
        return {"battery": state.full}, f"recharged, with {state.battery} moves left"
    x, y = (a + b for a, b in zip(state.robot, MOVES.get(action, (0, 0)), strict=True))
    if action in MOVES and state.battery and 0 <= x < state.size and 0 <= y < state.size:
        return {"robot": (x, y), "battery": state.battery - 1}, ""
    return {"refused": state.refused + 1}, f"refused: {action} at {state.robot}"


@task
def observe(state: State, outcome: tuple[dict[str, Any], str]) -> State:
    """The state after the outcome, with a line in the transcript where there was something to tell."""
    changes, said = outcome
    transcript = (*state.transcript, f"turn {state.turn}: {said}") if said else state.transcript
    return replace(state, turn=state.turn + 1, transcript=transcript, **changes)


def distance(a: Spot, b: Spot) -> int:
    """How many moves lie between two spots."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def towards(a: Spot, b: Spot) -> str:
    """The first move of a shortest way from ``a`` to ``b``."""
    if a[0] != b[0]:
        return "east" if a[0] < b[0] else "west"
    return "south" if a[1] < b[1] else "north"


def main() -> None:
    """Run the agent, and print what it did."""
    told = run(clear_field())
    print(*told["transcript"][:8], "...", *told["transcript"][-6:], sep="\n")
    print("\n{turns} turns, {left} items left, {refused} actions refused, {battery} moves to spare".format(**told))


if __name__ == "__main__":
    main()
