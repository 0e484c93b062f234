"""What the window works on: the draft configuration, the runs, the engine service, wrapped in Qt signals."""
