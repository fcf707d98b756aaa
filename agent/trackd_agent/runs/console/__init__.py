"""What a writer prints: raw text in, numbered lines out, and the files that hold both.

Owns the two terminal emulations (`lines`, which the reference has, and `screen`, the whole one)
and the console files. Knows nothing of servers; blocking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.runs.console.files import ConsoleFiles, LogPosition, console_file_name
from trackd_agent.runs.console.lines import Console
from trackd_agent.runs.console.screen import ScreenConsole

if TYPE_CHECKING:
    from trackd_proto.records import Start

__all__ = [
    "Console",
    "ConsoleFiles",
    "LogPosition",
    "ScreenConsole",
    "console_class",
    "console_file_name",
]

#: Settings of `console` whose text a whole screen is made of.
_WHOLE_SCREEN = ("wrap_emu", "redirect")


def console_class(start: Start) -> type[Console | ScreenConsole]:
    """Return the emulation that a writer asked for."""
    return ScreenConsole if start.settings.get("console") in _WHOLE_SCREEN else Console
