"""Functions drawn at random, as text, and values that try to make them return a continuation."""

from __future__ import annotations

import random

from cascade_compiler import LazyResult, task
from cascade_vm.returns import ANY, SAFE, SCALAR

PARAMETERS = ("a", "b", "c")
_BINARY = ("+", "-", "*", "/", "//", "%", "&", "|", "^", ">>", "@")  # none whose numbers could grow without end
_COMPARE = ("<", "<=", ">", ">=", "==", "!=", "is", "is not", "in", "not in")
_CONSTANTS = ("0", "1", "2", "-1", "1.5", "'x'", "''", "b'y'", "None", "True", "False", "1j", "()", "(1, 2)", "...")
_CALLS = ("helper({})", "str({})", "len({})", "lazy_of({})", "repr({})", "sorted([{}])", "TABLE.get({})", "max({}, 1)")


class Drawing:
    """Draws the text of one function."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names: list[str] = []
        self.loops = 0

    def function(self) -> str:
        """``def drawn(...)``, with one to three parameters that a caller may pass by position."""
        pick = self.random.random
        params = list(PARAMETERS[: self.random.randint(1, 3)])
        self.names = params.copy()
        written = params.copy()
        if pick() < 0.2:
            written[-1] += f"={self.random.choice(_CONSTANTS)}"
        if pick() < 0.05:
            written.append("*rest")
            self.names.append("rest")
        if pick() < 0.1:
            written.append("k=2" if "*rest" in written else "*, k=2")
            self.names.append("k")
        body = self.block(1, self.random.randint(1, 4))
        return f"def drawn({', '.join(written)}):\n" + "\n".join(body) + f"\n    return {self.expression(2)}\n"

    def block(self, depth: int, size: int) -> list[str]:
        return [line for _ in range(size) for line in self.statement(depth)]

    def statement(self, depth: int) -> list[str]:
        pad = "    " * depth
        deep = depth > 3
        kind = self.random.randint(0, 9 if deep else 20)
        if kind <= 3:
            return [pad + self.assignment()]
        if kind <= 5:
            return [f"{pad}return {self.expression(3)}"] if depth > 1 else [pad + self.assignment()]
        if kind == 6:
            return [f"{pad}{self.name()} {self.random.choice(('+', '-', '*', '|', '%'))}= {self.expression(1)}"]
        if kind == 7:
            return [f"{pad}{self.expression(2)}"]
        if kind == 8:
            return [f"{pad}assert {self.expression(1)}, {self.expression(1)}"]
        if kind == 9:
            return [f"{pad}raise ValueError({self.expression(1)})"] if self.random.random() < 0.1 else [pad + "pass"]
        inner = self.block(depth + 1, self.random.randint(1, 2))
        if kind <= 14:
            lines = [f"{pad}if {self.expression(2)}:", *inner]
            if self.random.random() < 0.5:
                lines += [f"{pad}else:", *self.block(depth + 1, 1)]
            return lines
        if kind <= 16:
            self.loops += 1
            left = f"left{self.loops}"
            stop = (
                [f"{pad}    if {self.expression(1)}: {self.random.choice(('break', 'continue'))}"]
                if self.random.random() < 0.3
                else []
            )
            return [f"{pad}{left} = 2", f"{pad}while {left}:", f"{pad}    {left} -= 1", *inner, *stop]
        if kind == 17:
            return [f"{pad}for {self.new_name()} in [{self.expression(1)}, {self.expression(1)}]:", *inner]
        if kind == 18:
            return [f"{pad}try:", *inner, f"{pad}except Exception as {self.new_name()}:", *self.block(depth + 1, 1)]
        if kind == 19:
            return [f"{pad}with BOX as {self.new_name()}:", *inner]
        name = self.new_name()
        return [f"{pad}def {name}(x={self.name()}):", f"{pad}    return {self.expression(1)}", f"{pad}{self.name()} = {name}()"]

    def assignment(self) -> str:
        right = self.expression(3)
        one = self.new_name() if self.random.random() < 0.5 else self.name()
        if self.random.random() < 0.1:
            return f"{one}, {self.name()} = {right}, {self.expression(1)}"
        return f"{one} = {right}"

    def name(self) -> str:
        return self.random.choice(self.names)

    def new_name(self) -> str:
        name = f"v{len(self.names)}"
        self.names.append(name)
        return name

    def expression(self, depth: int) -> str:
        choice = self.random.choice
        if depth == 0 or self.random.random() < 0.25:
            return self.name() if self.random.random() < 0.6 else choice(_CONSTANTS)
        one, two, three = (self.expression(depth - 1) for _ in range(3))
        match self.random.randint(0, 24):
            case 0 | 1 | 2 | 3 | 4:
                return f"({one} {choice(_BINARY)} {two})"
            case 5 | 6 | 7:
                return f"({one} {choice(_COMPARE)} {two})"
            case 8:
                return f"({one} < {two} <= {three})"
            case 9 | 10:
                return f"({one} {choice(('and', 'or'))} {two})"
            case 11 | 12:
                return f"({one} if {two} else {three})"
            case 13 | 14:
                return f"({choice(('-', '+', '~', 'not '))}{one})"
            case 15 | 16:
                inside = choice(("{0}", "{0} + {1}", "{0} if {1} else 1", "{0} < {1}")).format(self.name(), self.name())
                return choice(('f"{%s}"', 'f"{%s}-"', 'f"{%s!r}"', 'f"{%s:>4}"', 'f"{%s}%%"')) % inside
            case 17:
                return choice(("[{0}, {1}]", "({0}, {1})", "{{{0}: {1}}}", "{{{0}, {1}}}", "[*{0}, {1}]", "{{**{0}}}")).format(
                    one, two
                )
            case 18:
                return f"{one}[{two}]" if self.random.random() < 0.7 else f"{one}[{two}:]"
            case 19:
                return f"{self.name()}.{choice(('real', 'value', 'upper()', 'get(1)', '__class__'))}"
            case 20 | 21:
                return choice(_CALLS).format(one)
            case 22:
                return f"[x + {self.name()} for x in ({self.name()}, {self.name()})][0]"
            case 23:
                return f"({self.new_name()} := {one})"
            case _:
                return f"(lambda x: {self.name()})({two})"


@task
def some_task(x: object = None) -> object:
    return x


def _gives_lazy(*_: object) -> LazyResult:
    return some_task(1)


_OPERATORS = (
    "add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod",
    "rmod", "imod", "and", "rand", "or", "ror", "ior", "xor", "rxor", "lshift", "rlshift", "rshift", "rrshift", "pow", "rpow",
    "matmul", "rmatmul", "neg", "pos", "invert", "lt", "le", "gt", "ge", "eq", "ne", "getitem", "enter",
)  # fmt: skip


def _sly(*bases: type) -> type:
    members = {f"__{name}__": _gives_lazy for name in _OPERATORS}
    members["__hash__"] = lambda self: 1
    members["__exit__"] = lambda self, *_: None
    members["value"] = property(_gives_lazy)
    members["get"] = members["upper"] = _gives_lazy
    return type("Sly" + "".join(base.__name__ for base in bases), bases, members)


Sly, SlyStr, SlyInt, SlyFloat, SlyList = _sly(), _sly(str), _sly(int), _sly(float), _sly(list)

SCOPE = {
    "BOX": Sly(), "TABLE": {1: some_task(2), None: some_task(3)}, "helper": lambda x: some_task(x), "lazy_of": _gives_lazy,
}  # fmt: skip

VALUES: dict[int, tuple[object, ...]] = {
    SCALAR: (0, 3, -2, 1.5, True, "text", "", b"bytes", None, 2j),
    SAFE: (
        [1],
        [Sly()],
        (Sly(), 2),
        {1: some_task(1)},
        {"k": 0},
        Sly(),
        SlyStr("s"),
        SlyInt(4),
        SlyFloat(0.5),
        SlyList([1]),
        len,
    ),
    ANY: (some_task(7), some_task(8), [some_task(1)], SlyStr(""), 5),
}
