"""The forms of linked instructions: what the machine's loop tells apart.

A linked instruction is ``(form, dst, fn, a, b, names, dead, at)``; ``at`` is the instruction's index in its strand. What ``fn``,
``a``, ``b`` and ``names`` are depends on the form: a callable and the registers that it takes, by place and by name.
"""

from __future__ import annotations

from typing import Any

Linked = tuple[int, int, Any, Any, Any, Any, tuple[int, ...], int]

# Forms: what the machine's loop tells apart, commonest first. Forms from TAIL_1 on end the frame.
(
    CALL_1,
    CALL_2,
    CHAIN,  # calls one after the other in one register
    BLOCK,  # any calls with one or two registers
    SURE_CHAIN,  # a CHAIN and a BLOCK of which it has been proven that no call gives a graph (see straight.py)
    SURE_BLOCK,
    CALL_0,
    CALL_N,
    CALL_K,
    BUILD,
    ITEM,
    DROP,
    SPAWN,
    SPAWNS,  # any number of them
    TEST,
    ISSUE,
    TAIL_1,
    STRAND,  # a whole strand, as generated code
    TAIL_2,
    TAIL_0,
    TAIL_N,
    TAIL_K,
    TAIL_SPAWN,
    TAIL_ISSUE,
    RETURN,
    ITEM_RETURN,
    SURE_END,  # a SURE_CHAIN and the tail call after it
    GO_ON,  # of no instruction: the frame has begun another graph
    SKIP_ALL,  # of no instruction: what the frame stands for is skipped
    LEFT,  # of no instruction: a generated strand has not come to a value
) = range(30)
