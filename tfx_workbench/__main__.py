"""`python -m tfx_workbench` is `tfx-workbench`."""

from __future__ import annotations

import sys

from tfx_workbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
