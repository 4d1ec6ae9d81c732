"""The examples are modules that a user runs or imports from their own folder: here they are importable too."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
sys.path.insert(0, str(EXAMPLES))
