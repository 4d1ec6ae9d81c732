"""``map``: calls of one task for each position of iterables, with a bound on how many are in progress (S13, S14).

Nothing is made ahead: an item's arguments are taken when it can start, and what is held is what is in progress and the results. Items of a
synchronous task without a policy are called one after the other in the map's turn, as a list comprehension would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.events import TaskFailed, TaskFinished, TaskStarted, show_error
from cascade_vm.frame import Frame, Operation, child_frame
from cascade_vm.instrument import tell_of
from cascade_vm.invocation import _NO_KWARGS, Invocation, isa_waits
from cascade_vm.link import HANDLERS
from cascade_vm.notes import attempt_text
from cascade_vm.outcome import Error, Outcome
from cascade_vm.returns import SCALAR, known_of, returned

if TYPE_CHECKING:
    from cascade_vm.scheduler import Scheduler

DEFAULT_CONCURRENCY = 1_000
_ENDED: Any = type("ENDED", (), {})()


def begin(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> None:
    """Begin the map of an instruction."""
    machine.expect(frame, pc)
    run = MapRun(frame, pc, values)
    try:
        run.open(machine)
    except BaseException as failure:
        machine.fail(frame, pc, failure, (), {})
        return
    if run.in_turn:
        run._ask(machine)
    else:
        run.go_on(machine)


class MapRun:
    """A map in progress."""

    __slots__ = (
        "amounts", "exhausted", "fn", "frame", "has_asked", "in_progress", "in_turn", "iterated", "iterators", "names", "next", "pc",
        "policy", "results", "sequence", "spec", "starting", "told", "values",
    )  # fmt: skip

    def __init__(self, frame: Frame, pc: int, values: list[Any]) -> None:
        code = frame.code
        instruction = code.blueprint.instructions[pc]
        self.frame = frame
        self.pc = pc
        self.spec = code.blueprint.maps[instruction.spec]
        self.policy = self.spec.policy
        dynamic = code.blueprint.policies[self.policy].dynamic if self.policy >= 0 else 0
        self.amounts = values[:dynamic]
        self.values = values[dynamic:]  # of all operands; those that are iterated are replaced for each item
        self.iterated = [at - dynamic for at in self.spec.iterated]
        self.names = instruction.names
        self.fn = code.callees[pc]
        self.in_turn = self.policy < 0 and not isa_waits(frame, pc)  # makes its calls itself, when it is its turn
        self.iterators: list[Iterator[Any]] = []
        self.sequence: Sequence[Any] | None = None  # in place of an iterator, where it is one
        self.results: list[Any] = []
        self.next = 0
        self.in_progress = 0
        self.exhausted = False
        self.starting = False
        self.has_asked = False  # for a turn
        self.told: dict[int, int] = {}  # the number of the call of each item that has been told to have begun

    def _is_swift(self, machine: Scheduler) -> bool:
        """Is it one sequence, whose items go to the last positional argument of calls that are made at once, and that nobody is told of?"""
        at = self.iterated[0]
        told = machine.teller is not None and not machine.teller.counts_only
        if not self.in_turn or told or len(self.iterated) > 1 or type(self.values[at]) not in (list, tuple, range):
            return False
        return at == len(self.values) - len(self.names) - 1 or (len(self.values) == 1 and _is_first(self.fn, self.names[0]))

    def open(self, machine: Scheduler) -> None:
        """Begin to iterate.

        :raises TypeError: something cannot be iterated. :raises ValueError: lengths differ.
        """
        lengths = {}
        for at in self.iterated:
            value = self.values[at]
            if hasattr(type(value), "__len__"):
                lengths[self._name(at)] = len(value)
        if len(set(lengths.values())) > 1:
            raise ValueError(self._unequal(", ".join(f"{name} has {length}" for name, length in lengths.items())))
        if self._is_swift(machine):
            self.sequence = self.values[self.iterated[0]]
        else:
            self.iterators = [iter(self.values[at]) for at in self.iterated]
        for at in self.iterated:
            self.values[at] = None  # the iterator alone holds it now
        if machine.teller is not None:
            task = self.frame.code.label(self.pc).removesuffix(".map")
            machine.teller.tell_map(task, next(iter(lengths.values()), None))
            if self.sequence is not None:
                self.fn = machine.teller.counted(task, self.fn, items=True)

    def _name(self, at: int) -> str:
        plain = len(self.values) - len(self.names)
        return self.names[at - plain] if at >= plain else f"argument {at}"

    def _unequal(self, what: str) -> str:
        return f"{self.frame.code.label(self.pc)}: the iterables must have one length, and {what}"

    def go_on(self, machine: Scheduler) -> None:
        """Start items as long as there are any and the bound allows; end when the last has ended."""
        self.has_asked = False
        if self.starting:  # an item ended at once, while it was being started: whoever starts it goes on
            return
        self.starting = True
        bound = self.spec.max_concurrency or DEFAULT_CONCURRENCY
        if self.sequence is not None and self.in_progress < bound and not self._swiftly(machine):
            return
        while machine.failure is None and not self.exhausted and self.in_progress < bound and self.sequence is None:
            index = self.next
            try:
                given = self._take()
            except BaseException as failure:
                machine.fail(self.frame, self.pc, failure, (), {})
                return
            if given is None:
                break
            self.next += 1
            plain = len(given) - len(self.names)
            args, kwargs = given[:plain], dict(zip(self.names, given[plain:], strict=True)) if self.names else {}
            self.results.append(None)
            self.in_progress += 1
            if self.policy >= 0:
                Invocation(self.frame, self.pc, self.policy, args, kwargs, self.amounts, self, index).begin(machine)
                continue
            call = self._tell(machine, index, TaskStarted)
            try:
                value: Any = self.fn(*args, **kwargs)
                if not self.in_turn:
                    operation = Operation(self.frame, self.pc, value, args, kwargs, self, index)
                    operation.is_call = call
                    machine.launch(operation)
                elif type(value) in CONTINUATIONS:
                    self._tell(machine, index, TaskFinished)
                    machine.schedule(child_frame(machine.activate(value), self.frame, self.pc, self, index))
                    self._ask(machine)  # what it needs comes before the next item
                    break
                else:
                    self._tell(machine, index, TaskFinished)
                    self.results[index] = value
                    self.in_progress -= 1
            except BaseException as failure:
                self._fail(machine, index, failure, args, kwargs)
                return
        self.starting = False
        if machine.failure is None and self.exhausted and not self.in_progress:
            results, self.results = self.results, []
            machine.settle(self.frame, self.pc, results)

    def _swiftly(self, machine: Scheduler) -> bool:
        """Make calls on the items of a sequence for as long as they give values: False where an item has failed, or gave a graph.

        A list comprehension, since nothing in Python is faster, which is stopped in its middle by exhausting what it iterates over.
        """
        sequence, self.sequence = self.sequence, None
        assert sequence is not None
        usual: type = type(None)  # the type that came last, and is no continuation's
        stopped = -1

        def unusual(value: Any) -> Any:
            nonlocal usual, stopped
            if type(value) in CONTINUATIONS:
                stopped = len(sequence) - items.__length_hint__() - 1
                items.__setstate__(len(sequence))
            else:
                usual = type(value)
            return value

        plain = len(self.values) - len(self.names)
        common = dict(zip(self.names, self.values[plain:], strict=True)) if plain else {}
        fn = self.fn if len(self.values) == 1 else partial(self.fn, *self.values[: plain - 1], **common)
        items: Any = iter(sequence)
        items.__setstate__(self.next)
        try:
            # (The inner `for` is how a comprehension names a value that it uses twice: no loop is made of it.)
            known = [SCALAR if value is None else known_of(value) for value in self.values]
            if type(sequence) is range and returned(self.fn, known, self.names):
                made = [fn(item) for item in items]  # calls on integers that cannot give a graph
            else:
                made = [value if type(value) is usual else unusual(value) for item in items for value in (fn(item),)]
            self.results = self.results + made if self.results else made
            if stopped < 0:
                self.next, self.exhausted = len(sequence), True
                return True
            self.next = stopped + 1
            self.sequence = sequence
            self.in_progress += 1
            value, self.results[stopped] = self.results[stopped], None
            machine.schedule(child_frame(machine.activate(value), self.frame, self.pc, self, stopped))
            self._ask(machine)  # what it needs comes before the next item
        except BaseException as failure:
            index = stopped if stopped >= 0 else len(sequence) - items.__length_hint__() - 1
            args = [*self.values[: max(plain - 1, 0)], sequence[index]]
            self._fail(machine, index, failure, args, common)
        finally:
            self.starting = False
        return False

    def _take(self) -> list[Any] | None:
        """The operands of the next item; None when there are no more.

        :raises ValueError: one iterable has ended, and another has not.
        """
        taken = [next(one, _ENDED) for one in self.iterators]
        if any(one is _ENDED for one in taken):
            self.exhausted = True
            if not all(one is _ENDED for one in taken):
                ended = [self._name(at) for at, one in zip(self.iterated, taken, strict=True) if one is _ENDED]
                raise ValueError(self._unequal(f"{', '.join(ended)} ended after {self.next}"))
            return None
        given = self.values.copy()
        for at, one in zip(self.iterated, taken, strict=True):
            given[at] = one
        return given

    def _ask(self, machine: Scheduler) -> None:
        """Have the next item started when it is its turn."""
        if not self.has_asked:
            self.has_asked = True
            machine.take_turn(self.frame, self.pc, self, _go_on, self.next)

    def take(self, machine: Scheduler, index: int, outcome: Outcome, args: Any = (), kwargs: Any = _NO_KWARGS) -> None:
        """An item has ended: what it came to may be a graph to go on with."""
        if type(outcome) is Error:
            self._fail(machine, index, outcome.error, args, kwargs)
            return
        if kwargs is not _NO_KWARGS:  # of the call itself, and not of the graph that it returned
            self._tell(machine, index, TaskFinished)
        value = outcome.value  # type: ignore[union-attr]
        if type(value) in CONTINUATIONS:
            try:
                machine.schedule(child_frame(machine.activate(value), self.frame, self.pc, self, index))
            except BaseException as failure:  # a graph that cannot be run
                self._fail(machine, index, failure, (), {})
            return
        self.item_ended(machine, index, value)

    def item_ended(self, machine: Scheduler, index: int, value: Any) -> None:
        """An item has its value."""
        self.results[index] = value
        self.in_progress -= 1
        if self.in_turn and not self.exhausted:
            self._ask(machine)
        else:
            self.go_on(machine)

    def _tell(self, machine: Scheduler, index: int, kind: Any, **facts: Any) -> int:
        """Tell of the call of an item; the number of that call."""
        if machine.teller is None or self.policy >= 0:  # a call under a policy tells itself
            return 0
        begins = kind is TaskStarted
        call = tell_of(machine.teller, self.frame, self.pc, kind, index=index, call=0 if begins else self.told.pop(index, 0), **facts)
        if begins:
            self.told[index] = call
        return call

    def _fail(self, machine: Scheduler, index: int, failure: BaseException, args: Any, kwargs: Any) -> None:
        self._tell(machine, index, TaskFailed, error=show_error(failure))
        machine.fail(self.frame, self.pc, failure, args, kwargs, attempt_text(index, 1, 1))


def _is_first(fn: Any, name: str) -> bool:
    """Is ``name`` the first parameter of a function, so that its argument may be passed by place as well?"""
    if type(fn) is not FunctionType:
        return False
    code = fn.__code__
    return code.co_argcount > 0 and code.co_varnames[0] == name and not code.co_posonlyargcount


def _go_on(machine: Scheduler, frame: Frame, run: MapRun) -> None:
    run.go_on(machine)


HANDLERS[isa.MAP] = begin
