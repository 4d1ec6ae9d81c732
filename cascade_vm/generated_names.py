"""What names generated code may give to tasks: none that its text uses itself."""

from __future__ import annotations

import keyword

TAKEN = frozenset({
    "registers", "slice_end", "usual", "turns", "graph", "unread", "type", "locals", "loop", "strand", "args", "kwargs", "policy", "task",
    "fields", "literal_of", "is_input", "is_resource", "L", "A", "MISS", "MISSING", "GENERATION", "ValueError", "tuple", "len", "id",
    "list", "dict", "run", "inputs", "value", "raised", "left", "fresh", "unchanged", "failure", "interpret", "failed", "go_on",
    "chain", "cancelling", "cancelled", "CancelledError", "clock", "give_way",
    "Going", "Given", "callee", "number", "build", "_", "TURN", "BUILDER", "SITES", "SUBSCRIBERS", "BaseException",
})  # fmt: skip


def may_be_written(name: str) -> bool:
    """Does the name mean the same in a source text as in a dict? Python normalises other letters, and keeps some words for itself."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and name != "__debug__"


def looks_taken(name: str) -> bool:
    """Is it such a name as registers, constants, and a guard's variables have: a letter and digits? Or a builder's, or a module's own?"""
    return (len(name) > 1 and name[0].isalpha() and name[1:].replace("_", "").isdigit()) or name.startswith(("build_", "__"))
