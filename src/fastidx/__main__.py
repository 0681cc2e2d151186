"""``python -m fastidx``: the command line of `fastidx.cli`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
