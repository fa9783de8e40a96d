#!/usr/bin/env python3
"""Runs a command and writes the largest resident memory that it had, in bytes, to FILE.RANK (RANK: mpirun's, else 0).

usage: peak_memory.py FILE COMMAND...
The exit code is the command's. This process holds a few MB itself, which are not counted.
"""
import os
import resource
import subprocess
import sys

code = subprocess.run(sys.argv[2:], check=False).returncode
kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(f"{sys.argv[1]}.{os.environ.get('OMPI_COMM_WORLD_RANK', '0')}", "w", encoding="ascii") as file:
    file.write(str(kilobytes * 1024))
sys.exit(code if code >= 0 else 128 - code)
