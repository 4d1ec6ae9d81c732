"""``python -m cascade_compiler.cli``: the command line."""

import sys

from cascade_compiler.cli import main

if __name__ == "__main__":
    sys.exit(main())
