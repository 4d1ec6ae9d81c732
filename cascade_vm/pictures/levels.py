"""How far nodes are from where a graph begins, and which way a picture should grow."""

from __future__ import annotations

from cascade_vm.pictures.drawing import Picture

_WIDE = 7  # nodes side by side from which on the picture grows to the right, where a node takes less room


def way(picture: Picture) -> str:
    """"LR" where many nodes would stand side by side, else "TB"."""
    level = levels(picture)
    width: dict[int, int] = {}
    for one in level:
        width[one] = width.get(one, 0) + 1
    widest = max(width.values(), default=0)
    return "LR" if widest >= _WIDE and widest * 2 > len(width) else "TB"


def levels(picture: Picture) -> list[int]:
    """How far each node is from the nodes that nothing leads to: the longest way there. Edges that close a loop do not count."""
    count = len(picture.nodes)
    out: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for edge in picture.edges:
        if edge.kind != "jump" and edge.source != edge.target:
            out[edge.source].append(edge.target)
            missing[edge.target] += 1
    level = [0] * count
    ready = [at for at in range(count) if not missing[at]]
    for at in ready:  # grows while it is gone through
        for other in out[at]:
            level[other] = max(level[other], level[at] + 1)
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return level
