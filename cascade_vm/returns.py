"""What a function can return, as far as its bytecode proves it: so that generated code need not ask.

After every call the machine asks whether the value is a continuation. For a function as small as ``return x + 1`` the question costs a
third of the call. But such a function cannot return one: on numbers and texts, Python's operators give numbers and texts. This file
proves that where it can, by running the function's bytecode over three abstract values instead of real ones (Cousot and Cousot, "Abstract
interpretation", 1977). Whatever it does not know makes the answer ``ANY``; nothing is assumed of names, annotations, or other functions.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import Instruction

# What is known of a value, least first; what holds on two ways is the lesser of both.
ANY = 0
SAFE = 1  # it is no continuation
SCALAR = 2  # it is of one of these types exactly: their operators, among each other, give the same again

SCALARS = frozenset({int, float, bool, complex, str, bytes, type(None)})

_GENERATOR_FLAGS = 0x20 | 0x80 | 0x200  # generators, coroutines, async generators
_VARIADIC_FLAGS = 0x04 | 0x08
_MOST_STEPS = 2_000

_State = tuple[tuple[int, ...], tuple[int, ...]]  # the stack, and the local variables


def known_of(value: Any) -> int:
    """What is known of a constant."""
    return SCALAR if type(value) in SCALARS else ANY


def returned(fn: Any, args: Sequence[int], names: Sequence[str] = ()) -> int:
    """What is known of ``fn(...)`` where so much is known of its arguments; the last of them are passed by ``names``.

    It holds as long as the function has the code it has now.
    """
    if type(fn) is not FunctionType:
        return ANY
    code = fn.__code__
    variables = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    plain = len(args) - len(names)
    if code.co_flags & (_GENERATOR_FLAGS | _VARIADIC_FLAGS) or plain > code.co_argcount:
        return ANY
    given = dict.fromkeys(variables, ANY)  # a default may be replaced at any time
    given.update(zip(variables, args[:plain], strict=False))
    given.update(zip(names, args[plain:], strict=True))
    if len(given) != len(variables):
        return ANY  # the call will fail
    return _of_code(code, tuple(given.values()))


def known_after(i: Instruction, callee: Any, known: Mapping[int, int]) -> int:
    """What is known of the value of an instruction, which calls ``callee`` if it calls anything; ``known`` is by register."""
    if i.opcode in (isa.CALL, isa.TAIL_CALL):
        return returned(callee, [known.get(register, ANY) for register in i.reads], i.names)
    if i.opcode == isa.ITEM:
        return SCALAR if min(known.get(register, ANY) for register in i.reads) == SCALAR else ANY
    return SAFE


@lru_cache(maxsize=4096)
def _of_code(code: CodeType, given: tuple[int, ...]) -> int:
    if code.co_exceptiontable or code.co_cellvars:
        return ANY
    steps = list(dis.get_instructions(code))
    at_offset = {step.offset: number for number, step in enumerate(steps)}
    unset = ANY
    start: _State = (), given + (unset,) * (code.co_nlocals - len(given))
    seen: dict[int, _State] = {}
    waiting: list[tuple[int, _State]] = [(0, start)]
    result = SCALAR
    for _ in range(_MOST_STEPS):
        if not waiting:
            return result
        number, state = waiting.pop()
        before = seen.get(number)
        if before is not None:
            if len(before[0]) != len(state[0]):
                return ANY
            state = tuple(map(min, before[0], state[0])), tuple(map(min, before[1], state[1]))
            if state == before:
                continue
        seen[number] = state
        step = steps[number]
        if step.opname in ("RETURN_VALUE", "RETURN_CONST"):
            result = min(result, state[0][-1] if step.opname == "RETURN_VALUE" else _constant(step.argval))
            continue
        if step.opname in ("RAISE_VARARGS", "RERAISE"):
            continue
        try:
            following = _after(step, list(state[0]), list(state[1]), code)
        except (_NotKnown, IndexError):
            return ANY
        for jumps, after in following:
            waiting.append((at_offset[step.argval] if jumps else number + 1, after))
    return ANY


class _NotKnown(Exception):
    """An instruction, or a use of one, that this file knows nothing about."""


def _constant(value: Any) -> int:
    return SCALAR if type(value) in SCALARS else SAFE


_NOTHING_DONE = frozenset({
    "NOP", "RESUME", "CACHE", "PRECALL", "EXTENDED_ARG", "COPY_FREE_VARS", "KW_NAMES", "NOT_TAKEN", "RESUME_CHECK",
})  # fmt: skip
_PUSHES_ANY = frozenset({"LOAD_DEREF", "PUSH_NULL", "LOAD_ASSERTION_ERROR", "LOAD_COMMON_CONSTANT"})
_LOADS = frozenset({"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"})
_LOADS_TWO = frozenset({"LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"})
_UNARY = frozenset({"UNARY_NEGATIVE", "UNARY_POSITIVE", "UNARY_INVERT"})
_TRUTH = frozenset({"UNARY_NOT", "TO_BOOL"})
_POP_ONE = frozenset({"POP_TOP", "LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "LIST_APPEND", "SET_ADD"})
_BUILDS = frozenset({"BUILD_TUPLE", "BUILD_LIST", "BUILD_SET"})
_JUMPS = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"})


def _after(step: dis.Instruction, stack: list[int], local: list[int], code: CodeType) -> list[tuple[bool, _State]]:
    """(does it jump, the state then) for each way on from an instruction."""
    name, arg, value = step.opname, step.arg or 0, step.argval
    if name in _NOTHING_DONE:
        pass
    elif name in _LOADS:
        stack.append(local[code.co_varnames.index(value)])
    elif name in _LOADS_TWO:
        stack += [local[code.co_varnames.index(one)] for one in value]
    elif name == "STORE_FAST":
        local[code.co_varnames.index(value)] = stack.pop()
    elif name == "STORE_FAST_STORE_FAST":
        for one in value:
            local[code.co_varnames.index(one)] = stack.pop()
    elif name == "STORE_FAST_LOAD_FAST":
        local[code.co_varnames.index(value[0])] = stack.pop()
        stack.append(local[code.co_varnames.index(value[1])])
    elif name == "LOAD_CONST":
        stack.append(_constant(value))
    elif name == "LOAD_SMALL_INT":
        stack.append(SCALAR)
    elif name in _PUSHES_ANY:
        stack.append(ANY)
    elif name == "LOAD_GLOBAL":
        stack += [ANY] * (1 + (arg & 1))
    elif name == "COPY":
        stack.append(stack[-arg])
    elif name == "SWAP":
        stack[-1], stack[-arg] = stack[-arg], stack[-1]
    elif name in _POP_ONE:
        stack.pop()
    elif name == "BINARY_OP":
        both = _pop(stack, 2)
        stack.append(SCALAR if min(both) == SCALAR and not step.argrepr.startswith("[") else ANY)
    elif name == "COMPARE_OP":  # a list's < gives what comparing two items gives: anything
        stack.append(SCALAR if min(_pop(stack, 2)) == SCALAR else ANY)
    elif name in ("IS_OP", "CONTAINS_OP"):
        _pop(stack, 2)
        stack.append(SCALAR)
    elif name in _TRUTH:
        stack.pop()
        stack.append(SCALAR)
    elif name in _UNARY:
        stack.append(SCALAR if stack.pop() == SCALAR else ANY)
    elif name in _BUILDS:
        _pop(stack, arg)
        stack.append(SAFE)
    elif name == "BUILD_MAP":
        _pop(stack, 2 * arg)
        stack.append(SAFE)
    elif name == "BUILD_CONST_KEY_MAP":
        _pop(stack, arg + 1)
        stack.append(SAFE)
    elif name == "BUILD_STRING":
        _pop(stack, arg)
        stack.append(SCALAR)
    elif name == "FORMAT_SIMPLE" or (name == "FORMAT_VALUE" and not arg & 4):
        stack.append(SCALAR if stack.pop() == SCALAR else ANY)
    elif name == "CALL":
        _pop(stack, arg + 2)
        stack.append(ANY)
    elif name == "CALL_KW":
        _pop(stack, arg + 3)
        stack.append(ANY)
    elif name == "LOAD_METHOD" or (name == "LOAD_ATTR" and arg & 1 and _ATTR_HAS_METHOD_BIT):
        stack.pop()
        stack += [ANY, ANY]
    elif name == "LOAD_ATTR":
        stack.pop()
        stack.append(ANY)
    elif name in _JUMPS:
        return [(True, (tuple(stack), tuple(local)))]
    elif name.startswith("POP_JUMP_"):
        stack.pop()
        return [(jumps, (tuple(stack), tuple(local))) for jumps in (True, False)]
    elif name in ("JUMP_IF_TRUE_OR_POP", "JUMP_IF_FALSE_OR_POP"):
        return [(True, (tuple(stack), tuple(local))), (False, (tuple(stack[:-1]), tuple(local)))]
    else:
        raise _NotKnown
    return [(False, (tuple(stack), tuple(local)))]


# From CPython 3.12 on, LOAD_ATTR does what LOAD_METHOD did, where the lowest bit of its argument says so.
_ATTR_HAS_METHOD_BIT = sys.version_info >= (3, 12)


def _pop(stack: list[int], count: int) -> list[int]:
    if count == 0:
        return []
    if count > len(stack):
        raise _NotKnown
    taken = stack[-count:]
    del stack[-count:]
    return taken
