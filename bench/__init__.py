"""Benchmarks: what Cascade costs beside the same calls written by hand.

There are two ways to run them, for two questions.

**Interleaved** (``python -m bench``, ``--quick`` for a look, ``--json FILE`` for the data): subject and reference take turns in
one process, round by round, and the ratio is the median of the ratios of the rounds. Machines are shared and clocks move;
whatever slows one round down slows both sides of it, so the *ratio* holds where the seconds do not. Compare ratios, and only
within one run.

**pyperf** (``python -m bench.loops`` and so on, with pyperf's own options; ``python -m bench --pyperf`` for all): every benchmark
in many fresh processes, on its own. It tells what depends on the process (hash seeds, memory layout) and how stable a figure is,
and its files can be compared with ``python -m pyperf compare_to`` on a quiet machine. It does not interleave: its figures
drift with the machine.

Every case checks its result, and that of its reference, before anything is timed. A file is one idea; see ``bench.case.Case``.
"""
