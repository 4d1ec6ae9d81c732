"""What mypy and pyright say of a file, compared with what its comments say.

A line on which a checker must find a fault ends with ``# error``, with ``# error: mypy`` or with ``# error: pyright`` where only the one
finds it. On all other lines they must find none. Types are told by ``assert_type``, whose failures are faults, too.

    python -m tests.typing.checkers          both, as `make lint` runs it
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("accepted.py", "refused.py")
CHECKERS = ("mypy", "pyright")
_EXPECTED = re.compile(r"# error(?:: (mypy|pyright))?(?:  # noqa: \w+)?$", re.MULTILINE)


def expected(name: str, checker: str) -> set[int]:
    """The lines on which a checker must find a fault."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    found = {at: match.group(1) for at, line in enumerate(lines, 1) if (match := _EXPECTED.search(line))}
    return {at for at, only in found.items() if only in (None, checker)}


def mypy(cache: Path) -> dict[str, dict[int, str]]:
    """What mypy finds under --strict: by file and line. ``cache`` is a directory that it may write to."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--cache-dir", str(cache), "--config-file="]
    done = _run([*command, *(str(HERE / name) for name in FILES)])
    if done.returncode not in (0, 1):
        raise RuntimeError(f"mypy failed:\n{done.stdout}{done.stderr}")
    found: dict[str, dict[int, str]] = {name: {} for name in FILES}
    for line in done.stdout.splitlines():
        match = re.match(r"(.+?):(\d+): error: (.*)", line)
        if match:
            found.setdefault(Path(match[1]).name, {}).setdefault(int(match[2]), match[3])
    return found


def pyright(folder: Path) -> dict[str, dict[int, str]]:
    """What pyright finds in its mode "strict". ``folder`` is a directory for its configuration."""
    unused = {f"reportUnused{what}": False for what in ("Expression", "Variable")}
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)], **unused}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = _run([*command, *(str(HERE / name) for name in FILES)])
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"pyright failed:\n{done.stdout}{done.stderr}")
    found: dict[str, dict[int, str]] = {name: {} for name in FILES}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            lines = found.setdefault(Path(one["file"]).name, {})
            lines.setdefault(one["range"]["start"]["line"] + 1, one["message"])
    return found


def differences(checker: str, folder: Path) -> list[str]:
    """Where a checker says something else than the comments do; each as a line to show."""
    found = (mypy if checker == "mypy" else pyright)(folder)
    told = []
    for name, faults in found.items():
        awaited = expected(name, checker) if name in FILES else set()
        told += [f"{checker}: {name}:{line}: not expected: {text}" for line, text in sorted(faults.items()) if line not in awaited]
        told += [f"{checker}: {name}:{line}: expected, and not found" for line in sorted(awaited - faults.keys())]
    return told


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)


def main() -> int:
    import tempfile

    told = []
    for checker in CHECKERS:
        with tempfile.TemporaryDirectory() as folder:
            told += differences(checker, Path(folder))
    print(*(told or [f"{' and '.join(CHECKERS)} say of {' and '.join(FILES)} what these expect"]), sep="\n")
    return bool(told)


if __name__ == "__main__":
    sys.exit(main())
