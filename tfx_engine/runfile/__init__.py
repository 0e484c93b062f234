"""The run file: one SQLite file per run, written by one writer, read by everybody."""
