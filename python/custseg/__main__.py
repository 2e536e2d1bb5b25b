"""`python -m custseg` runs the `custseg` binary."""

import os
import sys

from ._process import find_binary

if __name__ == "__main__":
    binary = find_binary()
    os.execv(binary, [binary, *sys.argv[1:]])
