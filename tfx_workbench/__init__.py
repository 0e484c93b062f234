"""TFX Workbench: the window, the command line, the comparisons. Reads run files; never imports torch."""

__version__ = "0.1.0"
