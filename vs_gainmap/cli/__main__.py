"""`python -m vs_gainmap.cli`: the command line without its script."""

import sys

from vs_gainmap.cli import main

if __name__ == "__main__":
    sys.exit(main())
