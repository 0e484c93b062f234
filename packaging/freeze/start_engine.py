"""The executable `tfx-engine`: `python -m tfx_engine`, and every process of the engine."""

from multiprocessing import freeze_support

from freeze.entry import enter

freeze_support()
enter("tfx_engine")
