"""libtpu.so, Google's library for TPUs, through the table of functions of `GetLibtpuSdkApi`.

Runs in a process of its own for a good reason: outside of Google's cloud, loading the library
asks a metadata server and hangs for minutes. Tried with the real library, 0.0.51 (without a
TPU). The table begins with two numbers, 0 and 1; functions follow at the offsets below. Each
takes a pointer to a structure of its arguments, into which it also writes its results, and
returns NULL or an error. Names it does not know have no description and no values.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from trackd_agent.probes import AbsentError

#: Variables that name the library or its folder, most telling first.
PATH_VARIABLES = ("WANDB_LIBTPU_PATH", "TPU_LIBRARY_PATH", "LIBTPU_PATH")
#: Where else it is looked for, after the Python that runs the agent.
PATTERNS = (
    "/lib/libtpu.so",
    "/usr/lib/libtpu.so",
    "/usr/local/lib/libtpu.so",
    "~/.local/lib/python*/site-packages/libtpu/libtpu.so",
    "~/.venv/lib/python*/site-packages/libtpu/libtpu.so",
    "/usr/local/lib/python*/*-packages/libtpu/libtpu.so",
    "/usr/local/lib/python*/*-packages/torch_xla/lib/libtpu.so",
)
#: Bounds on what is believed of the library's answers.
MAX_TEXT_BYTES = 64 * 1024
MAX_VALUES = 4096
_HEADER = (0, 1)
_ERROR_MESSAGE, _DESTROY_ERROR, _CREATE_CLIENT = 0x08, 0x10, 0x20
_GET_METRIC, _GET_DESCRIPTION, _GET_VALUES = 0x50, 0x58, 0x60
_SLOTS = (
    _ERROR_MESSAGE,
    _DESTROY_ERROR,
    _CREATE_CLIENT,
    _GET_METRIC,
    _GET_DESCRIPTION,
    _GET_VALUES,
)
_Function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class _Text(ctypes.Structure):
    """Arguments of what returns a text: of an error, of a metric."""

    _fields_ = (
        ("of", ctypes.c_void_p),
        ("text", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
    )


class _GetMetric(ctypes.Structure):
    _fields_ = (
        ("client", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("metric", ctypes.c_void_p),
    )


class _GetValues(ctypes.Structure):
    _fields_ = (
        ("metric", ctypes.c_void_p),
        ("values", ctypes.POINTER(ctypes.c_char_p)),
        ("count", ctypes.c_size_t),
    )


class LibtpuError(Exception):
    """The library refused a call."""


class LibtpuProbe:
    """A client of the library's monitoring functions."""

    def __init__(self, path: str) -> None:
        """Load the library.

        Raises:
            AbsentError: It is no libtpu, or one whose table we do not know.
            LibtpuError: It gives us no client.
        """
        try:
            library = ctypes.CDLL(path)
            get_table = library.GetLibtpuSdkApi
        except (OSError, AttributeError) as error:
            raise AbsentError(f"{path} cannot be used: {error}; update libtpu") from error
        get_table.restype = ctypes.c_void_p
        self._table: int = get_table() or 0
        self._check_table(path)
        client = ctypes.c_void_p()
        self._call(_CREATE_CLIENT, client)
        self._client = client

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what the library says of the metrics `request["names"]`.

        Returns:
            By name: `description` and `values` (texts), or `error`; without those that the
            library does not know, and those it knows and has no values of.
        """
        answer: dict[str, Any] = {}
        for name in request["names"]:
            try:
                description, values = self._metric(name)
            except LibtpuError as error:
                answer[name] = {"error": str(error)}
            else:
                if values:
                    answer[name] = {"description": description, "values": values}
        return answer

    def describe(self) -> dict[str, Any]:
        """Return nothing: what the devices are is seen on the PCI bus."""
        return {}

    def _metric(self, name: str) -> tuple[str, list[str]]:
        found = _GetMetric(self._client, name.encode(), None)
        self._call(_GET_METRIC, found)
        if not found.metric:
            return "", []
        described = _Text(found.metric, None, 0)
        self._call(_GET_DESCRIPTION, described)
        listed = _GetValues(found.metric, None, 0)
        self._call(_GET_VALUES, listed)
        count = min(listed.count, MAX_VALUES) if listed.values else 0
        texts = [listed.values[i] or b"" for i in range(count)]
        values = [text[:MAX_TEXT_BYTES].decode(errors="replace") for text in texts]
        return _read_text(described), values

    def _check_table(self, path: str) -> None:
        if not self._table:
            raise AbsentError(f"{path} has no monitoring functions")
        header = tuple((ctypes.c_uint32 * 2).from_address(self._table))
        if header != _HEADER or not all(map(self._pointer, _SLOTS)):
            raise AbsentError(
                f"{path} has monitoring functions of version {header}, we know {_HEADER}"
            )

    def _run(self, slot: int, arguments: ctypes.Structure | ctypes.c_void_p) -> int | None:
        return ctypes.cast(self._pointer(slot), _Function)(ctypes.addressof(arguments))

    def _pointer(self, slot: int) -> ctypes.c_void_p:
        return ctypes.c_void_p.from_address(self._table + slot)

    def _call(self, slot: int, arguments: ctypes.Structure | ctypes.c_void_p) -> None:
        """Call a function of the table.

        Raises:
            LibtpuError: It returned an error.
        """
        error = self._run(slot, arguments)
        if not error:
            return
        message = _Text(error, None, 0)
        self._run(_ERROR_MESSAGE, message)
        text = _read_text(message)
        self._run(_DESTROY_ERROR, ctypes.c_void_p(error))
        raise LibtpuError(text or "error without a message")


def _read_text(text: _Text) -> str:
    length = min(text.length, MAX_TEXT_BYTES)
    return ctypes.string_at(text.text, length).decode(errors="replace") if text.text else ""


def open(options: dict[str, Any]) -> LibtpuProbe:
    """Load the library.

    Raises:
        AbsentError: There is none.
    """
    if path := find():
        return LibtpuProbe(path)
    raise AbsentError(
        "no libtpu.so in this Python, in the home or in the system's folders; TPU_LIBRARY_PATH "
        "can say where it is"
    )


def find() -> str | None:
    """Return the path of the library, None if there is none."""
    named = [os.environ.get(name, "").strip() for name in PATH_VARIABLES]
    places = [Path(name) for name in named if name]
    places += [Path(folder, "libtpu") for folder in sys.path if folder]
    for pattern in PATTERNS:
        places += sorted(Path("/").glob(pattern.replace("~", str(Path.home()), 1).lstrip("/")))
    for place in places:
        path = place / "libtpu.so" if place.is_dir() else place
        if path.is_file():
            return str(path)
    return None
