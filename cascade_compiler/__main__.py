"""``python -m cascade_compiler``: the command line, where the ``cascade`` script is not on the PATH."""

import sys

from cascade_compiler.cli import main

if __name__ == "__main__":
    sys.exit(main())
