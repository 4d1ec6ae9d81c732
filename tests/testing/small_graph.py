"""From the graph to steps: which there are, in which order, which are demanded, and what conditions and routers decide."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ROUTER, MapKind
from cascade_compiler.policy import Condition
from cascade_compiler.resource import ResourceKind
from cascade_vm.errors import RouteNotFound
from cascade_vm.inputs import MISSING, bind
from cascade_vm.notes import short
from cascade_vm.skipping import Skipped

if TYPE_CHECKING:
    from cascade_compiler.testing import Built


@dataclass(eq=False)
class Step:
    """A node, or an item of a map, in one activation. ``place`` orders steps as the walk through the graph meets them."""

    place: tuple[int, ...]
    lazy: LazyResult
    waits: list[Step]
    values: dict[int, Step]
    parent: Step | None = None  # whose value this step gives
    returned_by: Step | None = None
    before: tuple[Any, list[Any], dict[str, Any], str] | None = None  # in a tail call: the call that made it, and its label
    state: str = "waiting"
    demanded: bool = False
    wave: int = 0  # how many decisions came before the demand
    asks: list[Condition] = field(default_factory=list)  # conditions still to be asked, the next one last
    instead: Any = MISSING  # what gives the value: a route, or what otherwise= has
    value: Any = None
    reads: int = 0
    attempt: int = 1
    task: asyncio.Task[Any] | None = None
    of_map: Step | None = None
    given: tuple[Any, list[Any], dict[str, Any]] | None = None  # the call of an item
    rows: Any = None  # of a map: the items that have not begun
    items: list[Step] = field(default_factory=list)
    has_asked: bool = False  # for its share of what calls share
    is_blocked: bool = False
    is_booked: bool = False  # has it a start under its rate limit?
    amounts: dict[str, float] = field(default_factory=dict)
    holding: dict[str, float] = field(default_factory=dict)
    ends_at: float | None = None
    key: tuple[Any, bytes] | None = None  # of the cached call that it makes
    is_target: bool = False  # of its activation
    is_taken: bool = False  # of a resource: is it needed by more than what is replaced?
    generator: Any = None
    coming: Any = None  # the value that it has when its activation has ended

    @property
    def is_plain(self) -> bool:
        """Is all decided, and only the call itself to be made?"""
        return (
            self.demanded and self.state == "waiting" and not self.asks and self.instead is MISSING and self.lazy.task is not ROUTER
        )

    @property
    def ready(self) -> bool:
        return self.is_plain and not self.is_blocked and all(step.state == "done" for step in self.waits)

    @property
    def is_map(self) -> bool:
        return isinstance(self.lazy.task, MapKind) and self.of_map is None

    @property
    def is_limited(self) -> bool:
        """Does it ask for something beside its turn?"""
        policy = self.lazy.policy
        return policy is not None and not self.is_map and bool(policy.constraints or policy.rate or policy.cache)

    @property
    def is_early(self) -> bool:
        """Does it start before any synchronous call?"""
        policy = self.lazy.policy
        return self.is_async or (self.is_map and policy is not None and bool(policy.constraints or policy.rate or policy.cache))

    @property
    def is_resource(self) -> bool:
        return isinstance(self.lazy.task, ResourceKind)

    @property
    def is_async(self) -> bool:
        task = getattr(self.lazy.task, "task", self.lazy.task)
        return getattr(task, "is_async", False) or self.mode != "inline"

    @property
    def mode(self) -> str:
        return getattr(getattr(self.lazy.task, "task", self.lazy.task), "mode", "inline")

    @property
    def is_sync_call(self) -> bool:
        return not self.is_async and not self.is_map

    @property
    def label(self) -> str:
        return f"{self.lazy.task.label} (called at somewhere.py:1)"


@dataclass(eq=False)
class Graph:
    bug: str | None
    built: Built
    steps: list[Step] = field(default_factory=list)
    finished: list[Step] = field(default_factory=list)
    finished_order: list[Step] = field(default_factory=list)
    decisions: int = 0

    def __post_init__(self) -> None:
        self.woken = asyncio.Event()

    def finish(self, step: Step, value: Any) -> None:
        raise NotImplementedError

    def resolve(self, value: Any, values: dict[int, Step]) -> Any:
        raise NotImplementedError

    def injected(self, lazy: LazyResult) -> dict[str, LazyResult]:
        raise NotImplementedError

    def need(self, steps: list[Step]) -> None:
        raise NotImplementedError

    def count_users(self, parts: list[Any]) -> None:
        raise NotImplementedError

    def is_replaced(self, step: Step) -> bool:
        raise NotImplementedError

    # --- which steps there are ---

    def expand(self, value: Any, prefix: tuple[int, ...], values: dict[int, Step]) -> list[Step]:
        """Steps for all LazyResults in ``value`` that have none yet, in order; gives those that ``value`` itself names."""
        if isinstance(value, dict):
            return [step for pair in value.items() for part in pair for step in self.expand(part, prefix, values)]
        if isinstance(value, (list, tuple, set, frozenset)):
            return [step for part in value for step in self.expand(part, prefix, values)]
        if type(value) is not LazyResult:
            return []
        if isinstance(value.task, ResourceKind) and id(value.task) in values and self.bug != "sets up twice what is injected twice":
            values[id(value)] = values[id(value.task)]  # it stands in a graph once
        elif id(value) not in values or self.bug == "runs a shared node twice":
            asks = self.conditions(value)
            tests = self.expand([one.test for one in reversed(asks)], prefix, values)
            amounts = [amount for _, amount in value.policy.constraints] if value.policy else []
            injected = self.injected(value)
            waits = self.expand([*amounts, *value.args, *value.kwargs.values(), *injected.values()], prefix, values)
            after = self.expand(value.policy.after if value.policy else (), prefix, values)
            if self.bug != "ignores after":
                waits += after
            twin = self.twin(value, prefix) if self.bug == "merges calls that look alike" else None
            step = twin or Step((*prefix, len(self.steps)), value, waits, values, asks=asks)
            values[id(value)] = step
            if twin is None:
                self.steps.append(step)
            others = self.expand([one.otherwise for one in asks], prefix, values)
            if step.is_resource:
                values[id(value.task)] = step
            else:
                self.need([*tests, *waits, *others])
                parts = [part for one in asks for part in (one.test, one.otherwise)]
                self.count_users([*parts, *amounts, *value.args, *value.kwargs.values(), *(value.policy.after if value.policy else ())])
        return [values[id(value)]]

    def conditions(self, lazy: LazyResult) -> list[Condition]:
        asked = list(lazy.policy.conditions) if lazy.policy else []
        return asked[::-1] if self.bug == "asks the first condition first" else asked

    def twin(self, lazy: LazyResult, prefix: tuple[int, ...]) -> Step | None:
        def text(one: LazyResult) -> str:
            return f"{one.args} {one.kwargs}"

        same = (s for s in self.steps if s.lazy.task is lazy.task and s.place[:-1] == prefix and text(s.lazy) == text(lazy))
        return next(same, None) if hasattr(lazy.task, "fn") else None

    def inputs(self, steps: list[Step]) -> None:
        """Bind all inputs of a graph at once, before anything runs."""
        asked = [step for step in steps if isinstance(step.lazy.task, InputKind)]
        given = {} if self.bug == "prefers the default of an input" and self.built.params else self.built.params
        found = bind([step.lazy.task for step in asked], given, refuse_unknown=False)  # type: ignore[misc]
        for step, value in zip(asked, found, strict=True):
            step.state, step.value = "done", value

    # --- which of them are demanded ---

    def demand(self, steps: list[Step]) -> None:
        for step in steps:
            if step.demanded and step.state == "done" and self.decisions and self.bug == "runs a node again that is demanded later":
                step.state, step.demanded = "waiting", step.is_async  # not for ever: what is async runs twice at most
                self.decisions += 100
            if step.demanded or step.state == "done":
                continue
            step.demanded, step.wave = True, self.decisions
            if self.is_replaced(step):
                step.waits = [one for one in step.waits if one.is_taken]
            if self.bug == "evaluates otherwise in any case":
                self.demand(self.expand([one.otherwise for one in step.asks], (), step.values))
            if self.bug == "runs what a skipped call needs":
                self.demand(step.waits)
            self.go_on(step)

    def go_on(self, step: Step) -> None:
        """Demand what a demanded step needs next."""
        if step.asks:
            self.demand(self.expand(step.asks[-1].test, (), step.values))
        elif step.lazy.task is ROUTER:
            self.demand(self.expand(step.lazy.args[0], (), step.values))
            if self.bug == "runs a route that is not chosen":
                self.demand(step.waits)
            if self.bug == "runs what a route that is not chosen needs":
                self.demand([below for route in step.waits for below in route.waits])
        else:
            self.demand(step.waits)

    # --- what is decided without a call ---

    def decide(self) -> bool:
        """Make one decision that can be made now: of a condition, of a router, or that something is skipped."""
        for step in list(self.steps):
            if not step.demanded or step.state != "waiting":
                continue
            if step.instead is not MISSING:
                decided = self.take(step)
            elif step.asks:
                decided = self.ask(step)
            elif step.lazy.task is ROUTER:
                decided = self.route(step)
            else:
                decided = self.skip(step)
            if decided:
                self.decisions += 1
                return True
        return False

    def known(self, value: Any, step: Step) -> bool:
        return all(one.state == "done" for one in self.expand(value, (), step.values))

    def take(self, step: Step) -> bool:
        if self.known(step.instead, step):
            self.finish(step, self.resolve(step.instead, step.values))
            return True
        return False

    def ask(self, step: Step) -> bool:
        asked = step.asks[-1]
        if not self.known(asked.test, step):
            return False
        test = self.resolve(asked.test, step.values)
        if type(test) is Skipped and self.bug == "takes otherwise where the test is skipped":
            test = asked.otherwise is MISSING and test
        if type(test) is Skipped:
            self.finish(step, test)
        elif test is True if self.bug == "compares a condition with is True" else test:
            step.asks = step.asks[:-1]
            self.go_on(step)
        elif asked.otherwise is MISSING or self.bug == "ignores otherwise":
            condition = asked.test.task.label if type(asked.test) is LazyResult else short(test)
            self.finish(step, Skipped(step.label, condition))
        else:
            self.replace(step, asked.otherwise)
        return True

    def route(self, step: Step) -> bool:
        selector, table, *routes = step.lazy.args
        if not self.known(selector, step):
            return False
        key = self.resolve(selector, step.values)
        if type(key) is Skipped:
            self.finish(step, key)
            return True
        default = routes[len(table)] if len(routes) > len(table) and self.bug != "ignores the default of a router" else MISSING
        try:
            route = routes[table[key]]
        except (KeyError, TypeError):
            route = default
        if route is MISSING:
            raise RouteNotFound(f"there is no route for {short(key)}: the routes are {', '.join(map(short, table))}")
        if self.bug == "prunes a route that has another reader":
            for other in self.expand([one for one in routes if one is not route], (), step.values):
                if other.state == "waiting" and other not in self.expand(route, (), step.values):
                    other.state = "done"
        self.replace(step, route)
        return True

    def replace(self, step: Step, value: Any) -> None:
        step.instead = value
        if step.is_target and type(value) is LazyResult and self.users[id(value)] == 1:
            chosen = self.expand(value, (), step.values)[0]
            if chosen.state == "waiting" and not chosen.demanded:
                step.is_target, chosen.is_target = False, True  # in its place
                chosen.parent, step.parent = step.parent, None
        self.decisions += 1
        self.demand(self.expand(value, (), step.values))

    def skip(self, step: Step) -> bool:
        waits = step.waits
        if self.bug == "ignores a skip that comes through after":
            waits = self.expand([*step.lazy.args, *step.lazy.kwargs.values()], (), step.values)
        skipped = [one.value for one in waits if one.state == "done" and type(one.value) is Skipped]
        if not skipped or self.bug == "takes a skip for None":
            return False
        if self.bug != "a skip does not wait for the other parts" and any(one.state != "done" for one in step.waits):
            return False
        self.finish(step, skipped[0])
        return True
