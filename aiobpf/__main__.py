"""``python -m aiobpf``: the same as the ``aiobpf`` command."""

import sys

from aiobpf.cli import main

if __name__ == "__main__":
    sys.exit(main())
