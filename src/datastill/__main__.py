"""`python -m datastill` is the command line."""

import sys
from pathlib import Path

if sys.path and sys.path[0] == str(Path.cwd()):
    del sys.path[0]  # put there by -m: the folder may be a stranger's

from datastill.cli import main

if __name__ == "__main__":
    main()
