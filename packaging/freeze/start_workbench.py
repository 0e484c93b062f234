"""The executable `tfx-workbench`."""

from freeze.entry import enter

enter("tfx_workbench")
