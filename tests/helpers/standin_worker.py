"""A stand-in for `tfx_engine.worker` that needs no torch, for tests of the service alone.

The service starts it instead of the real worker where the environment variable TFX_WORKER_MODULE names it
(`tests.helpers.standin_worker`). It speaks the same protocol and writes real run files; what it does with a run is said
by the run's name:

    "quick"         two steps, finished              "endless"     steps until it is stopped
    "crash"         segmentation fault in the run    "exit 3"      exit code 3 with a word on stderr
    "print"         prints to descriptor 1 from C    "leave child" leaves a process behind

A configuration named "crash the check" ends the worker while it checks; "refuse" has a problem.
TFX_STANDIN=broken in the environment: it never starts.
"""

from __future__ import annotations

import os
import sys
import threading
