"""Benchmarks: what Cascade costs beside the same calls written by hand, and beside other libraries.

    python -m bench --report docs/benchmarks.md    everything, as a page with pictures (``make bench``, under 15 minutes)
    python -m bench --quick                        a look (``make bench-quick``, under 90 seconds)
    python -m bench loops --case countdown         some files, some cases
    python -m bench --quick --against HEAD~3       this tree beside another commit

**Sides that take turns.** A case is one piece of work and the ways to do it, its sides. They take turns, round by round: by hand and
Cascade's engines in one process, each other library in a process of its own (worker.py). The *ratio* to the reference is taken within
each round, and its median stands in the table: whatever slows one round down slows all sides of it, so the ratio holds where the seconds
do not. Compare ratios, and only within one run. Every side's result is checked before anything is timed.

**pyperf** finds out about the machine (environment.py), and its tools can read the rounds (``--pyperf-json FILE``, then
``python -m pyperf stats FILE`` or ``check``). Under ``python -m bench.loops`` and so on, with pyperf's own options, every side is a
benchmark in many fresh processes, on its own: that tells what depends on the process (hash seeds, memory layout). It does not interleave:
its figures drift with the machine.

How it hangs together: a file of cases has ``cases()``; engines.py says which engines this tree has; interleaved.py conducts; results.py is
the data; terminal.py, report.py and plots.py show it; against.py compares commits; peers/ has the other libraries, which the extra
``peers`` installs. A file is one idea.
"""
