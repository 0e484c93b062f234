"""What `start.py` needs on a bare machine: standard library only, and it parses on old Pythons too."""
