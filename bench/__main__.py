"""``python -m bench``: every case, interleaved, as a table. See the package's docstring for what the figures mean."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module

import msgspec

from bench.interleaved import Measured, measure

MODULES = ("loops", "chains", "build", "matching", "dispatch", "awaiting", "compiling")
_QUICK, _FULL = (0.4, 2), (6.0, 3)  # seconds a case, and its rounds at least


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Cascade beside the same calls written by hand.")
    parser.add_argument("only", nargs="*", help=f"files to run: {', '.join(MODULES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a look: about a minute for all")
    parser.add_argument("--json", metavar="FILE", help="write the data to FILE too")
    parser.add_argument("--pyperf", action="store_true", help="run each file under pyperf instead, without interleaving (long)")
    options = parser.parse_args(argv)
    unknown = set(options.only) - set(MODULES)
    if unknown:
        parser.error(f"no such file: {', '.join(sorted(unknown))}")
    chosen = options.only or list(MODULES)
    if options.pyperf:
        speed = ["--fast"] if options.quick else []
        return max(subprocess.call([sys.executable, "-m", f"bench.{name}", *speed]) for name in chosen)
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, msgspec {msgspec.__version__}")
    print(f"{'':44} {'a unit':>10} {'units/s':>12}   {'ratio':>7} {'(quartiles)':^17} beside")
    found: list[Measured] = []
    for name in chosen:
        print(f"--- {name}: {(import_module(f'bench.{name}').__doc__ or '').splitlines()[0]}")
        for case in import_module(f"bench.{name}").cases():
            found.append(measure(case, *(_QUICK if options.quick else _FULL)))
            print(_row(found[-1]), flush=True)
    if options.json:
        data = {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "machine": platform.machine(),
            "msgspec": msgspec.__version__,
            "quick": options.quick,
            "cases": [dataclasses.asdict(one) for one in found],
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
    return 0


def _row(one: Measured) -> str:
    ratio = "" if one.ratio is None else f"{one.ratio:7.2f} ({one.low:7.2f} -{one.high:7.2f})"
    return f"{one.name:44} {_seconds(one.seconds):>10} {1 / one.seconds:12,.0f}   {ratio:25} {one.beside}  [{one.unit}]"


def _seconds(seconds: float) -> str:
    for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds * 1e9:.3g} ns"


if __name__ == "__main__":
    sys.exit(main())
