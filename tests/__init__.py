"""The tests of TFX Workbench."""
