"""Exceptions of the SDK.

Besides these the SDK raises built-in ones where Python programs expect them: `TypeError` for
arguments of a wrong type, `ValueError` for refused values. Every message names the field, the
value and what to do about it.
"""

from __future__ import annotations


class Error(Exception):
    """Base of all exceptions of trackd."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(Error):
    """The SDK was used in a way that cannot work: a refused value, a finished run."""


class CommError(Error):
    """The agent or a server could not be reached, or refused a call."""


class AuthenticationError(CommError):
    """The server did not accept the API key."""


class UnsupportedError(Error):
    """The feature does not exist in this mode or on this machine."""


class ConfigError(Error):
    """A configuration value may not be changed, or a configuration file cannot be read."""


class LabelInUseError(UsageError):
    """Another living process writes to the same run under the same label."""
