"""CoreFoundation, IOKit and the system library of macOS: the few functions that are needed."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator

_POINTER, _U32, _LONG = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_long
_UTF8 = 0x08000100
_SINT64 = 4  # kCFNumberSInt64Type
_TEXT_BYTES = 256
_FRAMEWORKS = "/System/Library/Frameworks/"


class Paths(NamedTuple):
    """Where the libraries are."""

    core_foundation: str = f"{_FRAMEWORKS}CoreFoundation.framework/CoreFoundation"
    io_kit: str = f"{_FRAMEWORKS}IOKit.framework/IOKit"
    io_report: str = "/usr/lib/libIOReport.dylib"
    system: str = "/usr/lib/libSystem.B.dylib"


def declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """Return a function with its types: without them ctypes cuts pointers to 32 bits."""
    function = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)
    return function


class CoreFoundation:
    """Values of macOS, by pointer; whoever creates or copies one releases it."""

    def __init__(self, paths: Paths) -> None:
        library = ctypes.CDLL(paths.core_foundation)
        self.release: Any = declare(library, "CFRelease", None, _POINTER)
        self.copy_dictionary: Any = declare(
            library, "CFDictionaryCreateMutableCopy", _POINTER, _POINTER, _LONG, _POINTER
        )
        self._new_text = declare(
            library, "CFStringCreateWithCString", _POINTER, _POINTER, ctypes.c_char_p, _U32
        )
        self._text = declare(
            library,
            "CFStringGetCString",
            ctypes.c_ubyte,
            _POINTER,
            ctypes.c_char_p,
            _LONG,
            _U32,
        )
        self._get = declare(library, "CFDictionaryGetValue", _POINTER, _POINTER, _POINTER)
        self._count = declare(library, "CFArrayGetCount", _LONG, _POINTER)
        self._item = declare(library, "CFArrayGetValueAtIndex", _POINTER, _POINTER, _LONG)
        self._length = declare(library, "CFDataGetLength", _LONG, _POINTER)
        self._bytes = declare(library, "CFDataGetBytePtr", _POINTER, _POINTER)
        self._number = declare(
            library, "CFNumberGetValue", ctypes.c_ubyte, _POINTER, _LONG, _POINTER
        )

    @contextmanager
    def text(self, text: str) -> Generator[int]:
        """Give a CFString for the time of a block."""
        pointer = self._new_text(None, text.encode(), _UTF8)
        try:
            yield pointer
        finally:
            self.release(pointer)

    def text_of(self, pointer: int | None) -> str:
        """Return what a CFString holds, nothing for none."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        found = pointer and self._text(pointer, buffer, _TEXT_BYTES, _UTF8)
        return buffer.value.decode(errors="replace") if found else ""

    def value_of(self, dictionary: int, key: str) -> int | None:
        """Return the pointer below a key of a CFDictionary."""
        with self.text(key) as name:
            return self._get(dictionary, name)

    def items_of(self, array: int) -> list[int]:
        """Return the pointers in a CFArray."""
        return [self._item(array, index) for index in range(self._count(array))]

    def bytes_of(self, data: int) -> bytes:
        """Return what a CFData holds."""
        return ctypes.string_at(self._bytes(data), self._length(data))

    def number_of(self, number: int | None) -> int | None:
        """Return what a CFNumber holds, None for none."""
        value = ctypes.c_int64()
        found = number and self._number(number, _SINT64, ctypes.byref(value))
        return value.value if found else None


class IoKit:
    """Services of the kernel, by number."""

    def __init__(self, foundation: CoreFoundation, paths: Paths) -> None:
        library = ctypes.CDLL(paths.io_kit)
        self._foundation = foundation
        self._task = ctypes.c_uint32.in_dll(ctypes.CDLL(paths.system), "mach_task_self_")
        self._release = declare(library, "IOObjectRelease", ctypes.c_int, _U32)
        self._matching = declare(library, "IOServiceMatching", _POINTER, ctypes.c_char_p)
        self._find = declare(
            library, "IOServiceGetMatchingServices", ctypes.c_int, _U32, _POINTER, _POINTER
        )
        self._next = declare(library, "IOIteratorNext", _U32, _U32)
        self._name = declare(library, "IORegistryEntryGetName", ctypes.c_int, _U32, ctypes.c_char_p)
        self._property = declare(
            library, "IORegistryEntryCreateCFProperty", _POINTER, _U32, _POINTER, _POINTER, _U32
        )
        self._open = declare(library, "IOServiceOpen", ctypes.c_int, _U32, _U32, _U32, _POINTER)
        self._call = declare(
            library,
            "IOConnectCallStructMethod",
            ctypes.c_int,
            _U32,
            _U32,
            _POINTER,
            ctypes.c_size_t,
            _POINTER,
            _POINTER,
        )

    @contextmanager
    def service(self, kind: str, name: str = "") -> Generator[int]:
        """Give the first service of a class (and a name) for the time of a block; 0: none."""
        iterator = _U32()
        # The dictionary is released by the call.
        if self._find(0, self._matching(kind.encode()), ctypes.byref(iterator)):
            yield 0
            return
        found = 0
        try:
            while service := self._next(iterator.value):
                if not name or self._name_of(service) == name:
                    found = service
                    break
                self._release(service)
            yield found
        finally:
            if found:
                self._release(found)
            self._release(iterator.value)

    @contextmanager
    def property(self, service: int, name: str) -> Generator[int | None]:
        """Give the pointer to a property of a service for the time of a block; None: none."""
        with self._foundation.text(name) as key:
            value = self._property(service, key, None, 0) if service else None
        try:
            yield value
        finally:
            if value:
                self._foundation.release(value)

    def open(self, service: int) -> int:
        """Return a connection to a service, 0 where it is refused; it lasts as the process does."""
        connection = _U32()
        failed = not service or self._open(service, self._task, 0, ctypes.byref(connection))
        return 0 if failed else connection.value

    def call(self, connection: int, method: int, question: bytes) -> bytes | None:
        """Return a service's answer, as long as the question; None where it refuses."""
        answer = ctypes.create_string_buffer(len(question))
        size = ctypes.c_size_t(len(question))
        failed = self._call(connection, method, question, len(question), answer, ctypes.byref(size))
        return None if failed else answer.raw

    def _name_of(self, service: int) -> str:
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        failed = self._name(service, buffer)
        return "" if failed else buffer.value.decode(errors="replace")
