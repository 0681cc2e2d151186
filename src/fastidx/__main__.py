"""``python -m fastidx``: the command line of `fastidx.cli.main`."""

import sys

from fastidx.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
