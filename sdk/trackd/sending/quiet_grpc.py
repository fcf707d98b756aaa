"""Loads gRPC so that it does not write to the user's terminal.

Its C core prints a line at every fork of a process that has a call open, which data loaders do
all the time. It reads how much to say once, when it loads.
"""

from __future__ import annotations

import importlib
import os
import sys

_VERBOSITY = "GRPC_VERBOSITY"


def load() -> None:
    """Import gRPC, unless the program did before; a verbosity that the user set stays."""
    if "grpc" in sys.modules or _VERBOSITY in os.environ:
        return
    os.environ[_VERBOSITY] = "NONE"
    try:
        importlib.import_module("grpc")
    finally:
        del os.environ[_VERBOSITY]  # child processes decide for themselves
