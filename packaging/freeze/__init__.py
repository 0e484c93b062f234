"""From a checkout to the frozen program: a folder that runs on a machine without Python."""
