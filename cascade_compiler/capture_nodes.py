"""How a node was written that is more than a plain call, found again in the operations that it has become."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cascade_compiler.ir import Kind, Node, Op
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ROUTER
from cascade_compiler.policy import NO_POLICY


def described(
    node: LazyResult, ops: Sequence[Op], branches: Sequence[int], others: Sequence[int | None], after: tuple[int, ...], own: range
) -> Node:
    """
    :param branches: of its conditions in order of evaluation, then that of a router.
    :param others: for each condition, in the order in which they were written, its alternative or None.
    :param own: the operations that are the node's own.
    """
    policy = node.policy or NO_POLICY
    tests = [ops[branch].args[0] for branch in reversed(branches[: len(policy.conditions)])]
    call = next((at for at in own if ops[at].task is not None), None)
    operands = iter(ops[call].args if call is not None else ())
    constraints = tuple(
        (name, None, next(operands)) if type(amount) is LazyResult else (name, float(amount), None)
        for name, amount in policy.constraints
    )
    jumps = next(operands) if policy.jumps is not None else None
    named: tuple[int, ...] = ()
    if node.task is ROUTER:
        routes = next(ops[at].routes for at in own if ops[at].kind is Kind.SELECT)
        args: tuple[int, ...] = (*ops[branches[-1]].args, *routes)
    elif call is not None:
        given = tuple(operands)
        plain = len(node.args)
        args, named = given[:plain], given[plain : plain + len(node.kwargs)]
    else:
        shaped = next((ops[at] for at in own if ops[at].slot >= 0), None)
        args = shaped.args if shaped is not None else ()
    sites = (*branches, *(at for at in own if ops[at].slot >= 0))
    conditions = tuple(zip(tests, others, strict=True))
    # Without the nodes in it: what is kept for the next graph must keep nothing of this one.
    told = None if node.policy is None else replace(policy, after=(), conditions=(), constraints=(), jumps=None)
    return Node(node.task, args, named, tuple(node.kwargs), after, conditions, constraints, told, jumps, sites)
