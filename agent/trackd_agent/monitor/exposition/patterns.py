"""Which regular expressions may take for ever: Python's engine goes back and tries again.

It does so with the interpreter held, so that one search could stop the whole agent. A pattern in
which a repeated group holds a choice of its own (`(a+)+`, `(a|aa)*`) needs time that doubles with
each character where it does not match. Found by its form, generously: such a pattern is searched
for in a process of its own (`readers.patterns`), which costs little where it is harmless.
"""

from __future__ import annotations

import re

#: Longer texts are searched elsewhere, too: time may grow with a power of the length.
MAX_CHARACTERS = 512

_PART = re.compile(
    r"\\."  # an escape
    r"|\[\^?\]?(?:[^\]\\]|\\.)*\]"  # a class
    r"|\(\?(?:[a-zA-Z]*|P=\w*|#[^)]*)\)"  # flags, a group that was, a comment
    r"|\((?:\?(?:P<\w*>|<?[=!]|>|[a-zA-Z-]*:))?"  # the begin of a group, and of what kind
    r"|[)|*+?]|\{\d*,?\d*\}",
    re.DOTALL,
)


def may_take_long(pattern: str) -> bool:
    """Return whether searching for a pattern in a short text may take long; it compiles."""
    open_groups = [False]  # whether each open group holds a choice; the first is the pattern
    closed_with_choice = False  # the part before ended a group with a choice
    for part in _PART.findall(pattern):
        is_repetition = part in ("*", "+") or part.startswith("{")
        if closed_with_choice and is_repetition:
            return True
        closed_with_choice = False
        if part.startswith("(") and not part.endswith(")"):
            open_groups.append(False)
        elif part == ")" and len(open_groups) > 1:
            closed_with_choice = open_groups.pop()
            open_groups[-1] |= closed_with_choice
        elif is_repetition or part in ("|", "?"):
            open_groups[-1] = True
    return False
