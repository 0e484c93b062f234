"""One file out of many: a run as a PyTorch program that needs nothing of this project.

The sources of the techniques that a configuration uses are read, and of them everything that the model, its data and
its training really refer to is written into one file, in the order in which Python needs it. It is the same code that
the run ran, so it gives the same numbers.
"""
