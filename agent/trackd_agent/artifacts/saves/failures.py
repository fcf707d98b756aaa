"""How saves end badly."""

from __future__ import annotations


class SaveFailed(Exception):
    """A save has to be given up; repeating it would not help.

    Args:
        code: stable upper-case name.
        message: for people: which artifact or file, why, and the remedy.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
