"""The engine of TFX Workbench: builds a transformer from techniques, trains it for real, measures, writes run files.

Imports nothing at its top, so that the service and the client start without torch.
"""

__version__ = "0.1.0"
