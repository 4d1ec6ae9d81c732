"""Emit: from IR, strands and registers to a Blueprint."""

from __future__ import annotations

import attrs

from cascade_compiler.ir import SKIPPED, Graph, Kind, Op
from cascade_compiler.registers import Allocation
from cascade_compiler.resource import ResourceKind
from cascade_compiler.strands import Plan
from cascade_compiler.task import Task
from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint, Choice, Instruction, Map, Resource, Strand, Symbol
from cascade_vm.errors import InternalError
from cascade_vm.policies import CallPolicy, LivePolicy

_CONTAINER = {name: at for at, name in enumerate(isa.CONTAINERS)}
_CALL, _SELECT = Kind.CALL, Kind.SELECT  # bound, since they are asked for of each operation (see ir.py)


@attrs.define(eq=False)
class Emitted:
    """A blueprint, and what a process knows beyond it: the tasks behind the symbols, the site slot of each instruction or -1, and what
    stands beside each policy, the resources."""

    blueprint: Blueprint
    tasks: tuple[Task, ...]
    slots: tuple[int, ...]
    live: tuple[LivePolicy, ...]
    resources: tuple[ResourceKind, ...]


def emit(graph: Graph, strands: list[Plan], allocation: Allocation, cycle_id: str) -> Emitted:
    """Write the instructions, strand by strand; the strands that end shared values come last."""
    writer = _Writer(graph, allocation)
    slots: list[int] = []
    written: list[Strand] = []
    instructions = writer.instructions
    ops = graph.ops
    result = ops[graph.result]
    for strand in strands:
        start = len(instructions)
        writer.write(strand.ops)
        slots += [ops[at].slot for at in strand.ops]
        is_last = graph.result in strand.ops[-1:] and not result.waits
        if graph.result not in writer.tails and (is_last or not strand.ops):
            instructions.append(writer.give_back())
            slots.append(-1)
        awaits = tuple(sorted(writer.place[at] for at in strand.awaits))
        written.append(Strand(start, len(instructions), strand.eager, tuple(strand.needs), awaits, strand.region))
    if graph.result not in writer.tails and result.waits:  # its value comes later: it is returned then
        written.append(Strand(len(instructions), len(instructions) + 1, False, (), (writer.place[graph.result],)))
        instructions.append(writer.give_back())
        slots.append(-1)
    for readers, values in allocation.drops:
        start = len(instructions)
        registers = tuple(sorted(allocation.register[value] for value in values))
        instructions.append(Instruction(isa.DROP, -1, reads=registers, dead=registers))
        slots.append(-1)
        written.append(Strand(start, start + 1, True, readers, ()))
    blueprint = Blueprint(
        cycle_id=cycle_id,
        registers=allocation.count,
        literals=len(graph.literals),
        inputs=tuple(kind.name for kind in graph.inputs),
        symbols=tuple(Symbol(t.symbol, t.version, t.is_async, t.signature_text, t.mode, bound) for t, bound in writer.symbols),
        instructions=tuple(instructions),
        strands=tuple(written),
        policies=tuple(policy for policy, _ in writer.policies),
        maps=tuple(writer.maps),
        choices=tuple(writer.choices),
        resources=tuple(Resource(kind.symbol, kind.scope, kind.is_async) for kind in writer.resources),
        regions=tuple(graph.regions),
    )
    tasks = tuple(task for task, _ in writer.symbols)
    return Emitted(blueprint, tasks, tuple(slots), tuple(live for _, live in writer.policies), tuple(writer.resources))


class _Writer:
    def __init__(self, graph: Graph, allocation: Allocation) -> None:
        self.graph = graph
        self.register = allocation.register
        self.last = allocation.last
        self.instructions: list[Instruction] = []
        self.place = [-1] * len(graph.ops)  # the instruction of each operation
        self.symbols: dict[tuple[Task, bool], int] = {}
        self.plain: dict[Task | None, tuple[int, int, bool]] = {}  # of a task's plain calls the opcode, the symbol, whether they wait
        self.policies: list[tuple[CallPolicy, LivePolicy]] = []
        self.maps: list[Map] = []
        self.resources: list[ResourceKind] = []
        self.choices: list[Choice] = []
        self.choice_of: dict[int, int] = {}  # branch -> its choice
        for op in graph.ops:
            if op.kind is _SELECT:
                self._choice(op)
        self.tails = _tails(graph)

    def _choice(self, op: Op) -> None:
        ops, register = self.graph.ops, self.register
        regions, sources = [], []
        for x in op.routes:
            regions.append(0 if x == SKIPPED else ops[x].region)
            sources.append(SKIP if x == SKIPPED else -2 - register[x] if ops[x].preloaded else x)
        (branch,) = op.args
        self.choice_of[branch] = len(self.choices)
        self.choices.append(Choice(tuple(regions), tuple(sources), len(ops[branch].args) == 2))

    def give_back(self) -> Instruction:
        register = self.register[self.graph.result]
        tests = (register,) if may_be_skipped(self.graph) else ()
        return Instruction(isa.RETURN, len(self.graph.ops), reads=(register,), tests=tests)

    def write(self, numbers: list[int]) -> None:
        """The instructions of some operations. Plain calls, which nearly all are, are written here and not one by one elsewhere: that
        takes half the time."""
        ops, register, last, plain, tails = self.graph.ops, self.register, self.last, self.plain, self.tails
        place, instructions = self.place, self.instructions
        for at in numbers:
            place[at] = len(instructions)
            op = ops[at]
            if op.kind is not _CALL or op.policy is not None or op.after or op.tests or op.bound or at in tails:
                instructions.append(self.instruction(at, op))
                continue
            opcode, aux, waits = plain.get(op.task) or self.plain_call(op)
            dst = register[at]
            args = op.args
            if len(args) == 1:
                read = register[args[0]]
                reads: tuple[int, ...] = (read,)
                dead = reads if last[args[0]] == at and (read != dst or waits) else ()
            elif len(args) == 2:
                one, other = args
                reads = read, second = register[one], register[other]
                dead = reads[:1] if last[one] == at and (read != dst or waits) else ()
                if last[other] == at and second != read and (second != dst or waits):
                    dead = (reads if read < second else (second, read)) if dead else (second,)
            else:
                reads = tuple([register[x] for x in args])
                dead = self.dead(at, args, dst, waits)
            instructions.append(Instruction(opcode, at, dst, reads, aux, op.names, dead))

    def instruction(self, at: int, op: Op) -> Instruction:
        register = self.register
        reads = tuple([register[x] for x in op.args])
        tail = at in self.tails
        dst = isa.NONE if tail else register[at]
        dead = self.dead(at, self.graph.reads(op), dst, op.waits)
        spec = isa.NONE
        if op.kind is _CALL:
            aux = self.symbol(op)
            if op.policy is not None:
                spec = self.policy(op)
                opcode = isa.TAIL_PERFORM if tail else isa.PERFORM
            else:
                opcode = (isa.TAIL_SPAWN if tail else isa.SPAWN) if op.waits else (isa.TAIL_CALL if tail else isa.CALL)
        elif op.kind is Kind.MAP:
            opcode, aux, spec = isa.MAP, self.symbol(op), len(self.maps)
            policy = isa.NONE if op.policy is None else self.policy(op)
            self.maps.append(Map(op.detail.iterated, policy, op.detail.max_concurrency))
        elif op.kind is Kind.RESOURCE:
            opcode, aux = isa.ENTER, len(self.resources)
            self.resources.append(op.detail)
        elif op.kind is Kind.BUILD:
            opcode, aux = isa.BUILD, _CONTAINER[op.detail]
        elif op.kind is Kind.ITEM:
            opcode, aux = isa.ITEM, 0
        elif op.kind is Kind.BRANCH:
            opcode, aux = isa.BRANCH, self.choice_of[at]
        elif op.kind is Kind.SELECT:
            opcode, aux = isa.SELECT, self.choice_of[op.args[0]]
        else:
            raise InternalError(f"nothing is emitted for operations of kind {op.kind.value}")
        # Inputs are there before anything: to come after one is no order.
        after = tuple(sorted({x for x in op.after if not self.graph.ops[x].preloaded})) if op.after else ()
        tests = tuple([register[x] for x in op.tests]) if op.tests else ()
        return Instruction(opcode, at, dst, reads, aux, op.names, dead, after, spec, tests)

    def plain_call(self, op: Op) -> tuple[int, int, bool]:
        assert op.task is not None
        known = self.plain[op.task] = (isa.SPAWN if op.waits else isa.CALL, self.symbol(op), op.waits)
        return known

    def dead(self, at: int, values: tuple[int, ...], dst: int, waits: bool) -> tuple[int, ...]:
        """The registers of those of ``values`` that end with operation ``at``.

        What the result overwrites at once needs no end of its own; a result that comes later overwrites nothing yet.
        """
        last, register = self.last, self.register
        dying: list[int] = []
        for x in values:
            if last[x] == at and (register[x] != dst or waits):
                dying.append(register[x])  # noqa: PERF401 (mostly there are none or one, and a comprehension costs a call)
        if not dying:
            return ()
        return tuple(sorted(set(dying))) if len(dying) > 1 else (dying[0],)

    def symbol(self, op: Op) -> int:
        assert op.task is not None
        return self.symbols.setdefault((op.task, op.bound), len(self.symbols))

    def policy(self, op: Op) -> int:
        assert op.policy is not None
        assert op.live is not None
        self.policies.append((op.policy, op.live))
        return len(self.policies) - 1


def may_be_skipped(graph: Graph) -> bool:
    """May the result be that of something skipped?"""
    stack, seen = [graph.result], set()
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        if at == SKIPPED or graph.ops[at].tests:
            return True
        op = graph.ops[at]
        if op.kind is Kind.SELECT:
            stack += [*op.routes, *op.args]
    return False


def _tails(graph: Graph) -> set[int]:
    """Calls whose value is that of the frame: the result, or what it selects, where nobody else needs that."""
    result = graph.ops[graph.result]
    if result.kind is not _SELECT:
        return {graph.result} if result.kind is _CALL else set()
    uses = [0] * len(graph.ops)
    for op in graph.ops:
        for x in {*graph.operands(op), *op.routes} - {SKIPPED}:  # two routes of one choice may be one value
            uses[x] += 1
    found: set[int] = set()
    stack = [graph.result]
    while stack:
        at = stack.pop()
        op = graph.ops[at]
        if op.kind is Kind.CALL:
            found.add(at)
        elif op.kind is Kind.SELECT:
            stack += [x for x in op.routes if x >= 0 and uses[x] == 1]
    return found
