"""Libraries that only some values need: loaded at use, named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from trackd.errors import Error


def load(name: str, needed_by: str, install: str = "trackd[media]") -> Any:
    """Import an optional library.

    Args:
        name: of the module.
        needed_by: what the user called, for the message.
        install: what brings it, as `pip install` takes it.

    Raises:
        Error: it is not installed, or does not import.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        is_absent = isinstance(error, ModuleNotFoundError) and error.name in (name, library)
        reason = "" if is_absent else f" ({error})"  # such as a library that this one needs
        raise Error(f"{needed_by} needs {library}{reason}: pip install '{install}'") from error
