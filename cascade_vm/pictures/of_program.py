"""What is in a program: the instructions of its blueprints, as a graph again.

A branch and the select that takes its choice are one vertex. What shares a register is told apart by going through the instructions in
their order, which is one in which they can run.
"""

from __future__ import annotations

from cascade_vm import constants, isa
from cascade_vm.about import SourceMap, returned_by
from cascade_vm.blueprint import SKIP, Blueprint, Instruction
from cascade_vm.inputs import MISSING, show_type
from cascade_vm.pictures import labels
from cascade_vm.pictures.marks import marks, size
from cascade_vm.pictures.plan import UNKNOWN, Argument, Plan, Value, Vertex, named
from cascade_vm.program import Input, Program
from cascade_vm.route_data import NOTHING

_SKIPPED = "(skipped)"


def plan_of(program: Program) -> Plan:
    """The plan of ``program``: its entry, the routes of its jumps, and the graphs that tasks are known to return."""
    reader = _Reader(program)
    data = program.data
    inputs = list(program.inputs.values())
    result, last = reader.blueprint(program.entry, data.literals, inputs, program.source_maps.get(data.entry), -1)
    plan = reader.plan
    if isinstance(result, str):
        plan.vertices.append(Vertex("literal", result, "a constant"))
        result = len(plan.vertices) - 1
    plan.results.append(result)
    reader.heads[data.entry] = last if last >= 0 else result
    reader.routes()
    reader.shapes()
    return plan


class _Reader:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.plan = Plan([], [])
        self.hubs: dict[int, int] = {}  # of a table of routes, its vertex
        self.inputs: dict[str, int] = {}
        self.resources: dict[str, int] = {}
        self.calls: dict[str, list[int]] = {}  # of a symbol, the vertices that call it
        self.heads: dict[str, int] = {}  # of the cycle_id of a graph that tasks may return, what it ends with

    def blueprint(
        self, blueprint: Blueprint, literals: tuple[int, ...], inputs: list[Input], source: SourceMap | None, section: int
    ) -> tuple[Value, int]:
        """Add the instructions of a blueprint; its result, and the vertex of its last call (-1: there is none)."""
        return _Body(self, blueprint, literals, inputs, source, section).read()

    def hub(self, table: int) -> int:
        """The vertex of a table of routes; what it leads to is drawn when all else is."""
        if table not in self.hubs:
            self.hubs[table] = self.put(Vertex("jump", "jump", f"table {table}"))
        return self.hubs[table]

    def put(self, vertex: Vertex) -> int:
        self.plan.vertices.append(vertex)
        return len(self.plan.vertices) - 1

    def routes(self) -> None:
        """The routes of all tables that have been met, and of those that they lead to."""
        heads: dict[int, int] = {}
        done: set[int] = set()
        while left := [table for table in self.hubs if table not in done]:
            for table in left:
                done.add(table)
                end = -1
                for route in self.program.data.tables[table].routes:
                    key = labels.value(constants.decode(route.key), labels.ROUTE)
                    if route.plain >= 0:
                        if route.plain not in heads:
                            heads[route.plain] = self.route(key, route.plain)
                        target = heads[route.plain]
                    else:
                        target = end = self.put(Vertex("end", "end", "the loop ends")) if end < 0 else end
                    self.plan.vertices[self.hubs[table]].jumps += ((key, target),)

    def shapes(self) -> None:
        """The graphs that tasks are known to return, each in a section of its own; and from the calls of a task to those that it returns,
        as far as that is known. What has the shape of the entry itself leads back there."""
        data = self.program.data
        blueprints = [data.blueprints[shape.blueprint] for shape in data.shapes]
        returned = returned_by(self.program.provenance, [one.cycle_id for one in blueprints])
        by: dict[str, list[str]] = {}
        for symbol, found in returned.items():
            for cycle_id in found:
                by.setdefault(cycle_id, []).append(named(symbol))
        for blueprint in blueprints:
            if blueprint.cycle_id == data.entry:
                continue
            tasks = labels.plain(", ".join(by.get(blueprint.cycle_id, ["a task"])), labels.TITLE)
            self.plan.sections.append(f"returned by {tasks}")
            section = len(self.plan.sections) - 1
            unknown = [Input(name, None, MISSING, "param", None) for name in blueprint.inputs]
            value, last = self.blueprint(blueprint, (NOTHING,) * blueprint.literals, unknown, None, section)
            self.heads[blueprint.cycle_id] = last if last >= 0 or isinstance(value, str) else value
        for symbol, found in returned.items():
            heads = [head for cycle_id in found if (head := self.heads.get(cycle_id, -1)) >= 0]
            for call in self.calls.get(symbol, ()):
                self.plan.vertices[call].jumps += tuple([("returns", head) for head in heads])

    def route(self, key: str, number: int) -> int:
        """Add the graph of a route; the vertex of its call."""
        data, plan = self.program.data, self.plan
        part = data.parts[number]
        plan.sections.append(f"route {key}")
        section = len(plan.sections) - 1
        source = self.program.source_maps.get(data.source_of(number))
        given = self.program.inputs_of(number)
        value, last = self.blueprint(data.blueprints[part.blueprint], part.literals, given, source, section)
        if last >= 0:
            return last
        return value if isinstance(value, int) else self.put(Vertex("literal", value, section=section))


class _Body:
    """One blueprint."""

    def __init__(
        self, reader: _Reader, blueprint: Blueprint, literals: tuple[int, ...], inputs: list[Input], source: SourceMap | None, section: int
    ) -> None:
        self.reader = reader
        self.code = blueprint
        self.source = source
        self.section = section
        self.first = [self.literal(one) for one in literals] + [self.input(one) for one in inputs]
        self.registers: dict[int, Value] = dict(enumerate(self.first))
        self.at: dict[int, Value] = {}  # by position
        self.branches: dict[Value, Instruction] = {}  # by the vertex of each
        self.tables: dict[Value, list[str]] = {}  # of a branch, its keys
        self.keys: dict[int, list[str]] = {}  # of a register with a table of routes, its keys
        self.last = -1
        for register, one in enumerate(literals):
            if one >= 0 and isinstance(value := constants.decode(reader.program.data.constants[one]), dict):
                self.keys[register] = [labels.value(key, labels.ROUTE) for key in value]

    def literal(self, number: int) -> Value:
        if number == NOTHING:
            return UNKNOWN
        if number < NOTHING:
            return self.reader.hub(NOTHING - 1 - number)
        return labels.value(constants.decode(self.reader.program.data.constants[number]), 30)

    def input(self, one: Input) -> Value:
        if one.type is None:
            return UNKNOWN
        known = self.reader.inputs.get(one.name)
        if known is None:
            told = ["from the environment"] if one.source == "env" else []
            told.append(labels.plain(show_type(one.type), labels.MARK))
            if not one.required:
                told.append(f"= {labels.value(one.default, labels.MARK - 2)}")
            known = self.reader.put(Vertex("input", labels.plain(one.name, labels.TITLE), one.source, marks=tuple(told)))
            self.reader.inputs[one.name] = known
        return known

    def read(self) -> tuple[Value, int]:
        """Go through the instructions; the value of the blueprint, and the vertex of the call that it ends with."""
        result: Value = UNKNOWN
        later: list[tuple[int, Instruction]] = []  # what refers to others that may stand anywhere
        for number, strand in enumerate(self.code.strands):
            for pc in range(strand.start, strand.stop):
                i = self.code.instructions[pc]
                opcode = isa.BY_CODE[i.opcode]
                if i.opcode == isa.DROP:
                    continue
                if i.opcode == isa.RETURN:
                    result = self.registers.get(i.reads[0], UNKNOWN)
                    continue
                value = self.vertex(pc, i)
                vertex = self.reader.plan.vertices[value]
                vertex.section, vertex.strand = self.section, self.strand(number)
                if i.after or i.opcode == isa.SELECT:
                    later.append((value, i))
                self.at[i.position] = value
                if i.dst != isa.NONE:
                    self.registers[i.dst] = value
                if opcode.ends:
                    result = value
        for value, i in later:
            vertex = self.reader.plan.vertices[value]
            if i.opcode == isa.SELECT:
                vertex.routes = self.routes(i, value)
            vertex.after += tuple([found for one in i.after if isinstance(found := self.at.get(one), int)])
        if isinstance(result, int) and self.reader.plan.vertices[result].kind == "call":
            self.last = result
        return result, self.last

    def strand(self, number: int) -> int:
        return number if len(self.code.strands) > 1 or self.section < 0 else -1

    def vertex(self, pc: int, i: Instruction) -> int:
        reads = [self.registers.get(register, UNKNOWN) for register in i.reads]
        where = ""
        if self.source is not None and (found := self.source.place(pc)) is not None:
            where = labels.place(*found)
        put = self.reader.put
        plain = len(reads) - len(i.names)
        arguments = [Argument(one) for one in reads[:plain]]
        arguments += [Argument(one, name) for one, name in zip(reads[plain:], i.names, strict=True)]
        if i.opcode == isa.BUILD:
            kind = isa.CONTAINERS[i.aux]
            if kind.endswith("-like"):
                arguments = arguments[1:]  # its prototype
            return put(Vertex("container", kind.removesuffix("-like"), kind, where=where, arguments=tuple(arguments)))
        if i.opcode == isa.ITEM:
            key = reads[1]
            if isinstance(key, str):
                return put(Vertex("item", f"[{labels.plain(key, 20)}]", "an item", where=where, arguments=tuple(arguments[:1])))
            return put(Vertex("item", "[·]", "an item", where=where, arguments=tuple(arguments)))
        if i.opcode == isa.ENTER:
            resource = self.code.resources[i.aux]
            told = (*(("async",) if resource.is_async else ()), f"scope {resource.scope}")
            return put(Vertex("resource", named(resource.name), resource.name, arguments=tuple(arguments), marks=told))
        if i.opcode == isa.BRANCH:
            keys = self.keys.get(i.reads[1], []) if len(i.reads) > 1 else []
            value = put(Vertex("router" if self.code.choices[i.aux].keyed else "choice", "branch", "a branch", selector=reads[0]))
            self.branches[value] = i
            self.tables[value] = keys
            return value
        if i.opcode == isa.SELECT:
            return self.select(i, reads[0])
        return self.call(i, reads, arguments, where)

    def select(self, i: Instruction, branch: Value) -> int:
        """The vertex of its branch, which is that of both."""
        at = branch if isinstance(branch, int) and branch in self.branches else self.reader.put(Vertex("choice", "", "a choice"))
        self.reader.plan.vertices[at].title = "Router" if self.code.choices[i.aux].keyed else "choice"
        return at

    def routes(self, i: Instruction, at: int) -> tuple[tuple[str, Value], ...]:
        """The routes of a select, with their keys."""
        choice = self.code.choices[i.aux]
        keys = list(self.tables.get(at, ())) if choice.keyed else ["true", "false"]
        keys += ["(default)"] * (len(choice.sources) - len(keys))
        found: list[tuple[str, Value]] = []
        for key, source in zip(keys, choice.sources, strict=False):
            value = _SKIPPED if source == SKIP else self.first[-2 - source] if source < SKIP else self.at.get(source, UNKNOWN)
            found.append((key, value))
        return tuple(found)

    def call(self, i: Instruction, reads: list[Value], arguments: list[Argument], where: str) -> int:
        symbol = self.code.symbols[i.aux]
        spec = isa.BY_CODE[i.opcode].spec
        mapped = self.code.maps[i.spec] if spec == "map" else None
        number = mapped.policy if mapped is not None else i.spec if spec == "policy" else isa.NONE
        policy = self.code.policies[number] if number != isa.NONE else None
        lead = policy.dynamic if policy is not None else 0
        amounts = [name for name, amount in policy.constraints if amount is None] if policy is not None else []
        mode = "async" if symbol.is_async else "" if symbol.mode == "inline" else symbol.mode
        vertex = Vertex("call", named(symbol.name), symbol.name.replace(":", "."), mode, where)
        vertex.marks = marks(policy) if policy is not None else ()
        vertex.amounts = tuple([(name, one) for name, one in zip(amounts, reads, strict=False) if isinstance(one, int)])
        if symbol.bound and isinstance(hub := reads[lead], int):
            vertex.jumps = (("", hub),)
        if mapped is not None:
            arguments = [Argument(one.value, one.name, at in mapped.iterated) for at, one in enumerate(arguments)]
            vertex.kind, vertex.over = "map", size(None, mapped.max_concurrency)
        vertex.arguments = tuple(arguments[lead + symbol.bound :])
        number = self.reader.put(vertex)
        self.reader.calls.setdefault(symbol.name, []).append(number)
        return number
