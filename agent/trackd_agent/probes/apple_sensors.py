"""Temperatures and the power of the whole machine, from the system management controller."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackd_agent.probes.apple_frameworks import IoKit

#: `SMCKeyData_t` as the controller's driver takes it: key, version (6 bytes), limits (16), size
#: and type of the key, result, status, what to do, a number, 32 bytes of value.
_KEY_DATA = struct.Struct("<I6s2x16sII4xBBBxI32s")
_CALL = 2
_READ, _BY_INDEX, _DESCRIBE = 5, 8, 9
_FLOAT = int.from_bytes(b"flt ", "big")
_MAX_KEYS = 10_000
#: First two letters of sensors' names.
_KINDS = {"Tp": "cpu", "Te": "cpu", "Tg": "gpu"}
_SYSTEM_POWER = "PSTR"


class Sensors:
    """The sensors that the controller had when this was made; M1 has no temperatures here."""

    def __init__(self, kernel: IoKit) -> None:
        self._kernel = kernel
        with kernel.service("AppleSMC", "AppleSMCKeysEndpoint") as service:
            self._connection = kernel.open(service)
        keys = [self._key_at(index) for index in range(self._count())] if self._connection else []
        self._temperatures = [key for key in keys if key[:2] in _KINDS and self._is_float(key)]

    def read(self) -> dict[str, list[float] | float]:
        """Return `cpu_c` and `gpu_c` (a number for each sensor that works) and `system_w`."""
        found: dict[str, list[float] | float] = {}
        for part in ("cpu", "gpu"):
            values = [self._float(key) for key in self._temperatures if _KINDS[key[:2]] == part]
            if working := [value for value in values if value]:
                found[f"{part}_c"] = working
        if self._connection and self._is_float(_SYSTEM_POWER):
            found["system_w"] = self._float(_SYSTEM_POWER) or 0.0
        return found

    def _count(self) -> int:
        value = self._ask(_READ, "#KEY", size=4)
        return min(int.from_bytes(value[2][:4], "big"), _MAX_KEYS) if value else 0

    def _key_at(self, index: int) -> str:
        answer = self._ask(_BY_INDEX, "", number=index)
        return answer[0] if answer else ""

    def _is_float(self, key: str) -> bool:
        answer = self._ask(_DESCRIBE, key)
        return answer is not None and answer[1] == (4, _FLOAT)

    def _float(self, key: str) -> float | None:
        answer = self._ask(_READ, key, size=4)
        return float(struct.unpack("<f", answer[2][:4])[0]) if answer else None

    def _ask(
        self, action: int, key: str, size: int = 0, number: int = 0
    ) -> tuple[str, tuple[int, int], bytes] | None:
        """Return key, size and type, and value of an answer; None where there is none."""
        name = int.from_bytes(key.encode(), "big")
        question = _KEY_DATA.pack(name, b"", b"", size, 0, 0, 0, action, number, b"")
        answer = self._kernel.call(self._connection, _CALL, question)
        if answer is None:
            return None
        found, _, _, length, kind, result, _, _, _, value = _KEY_DATA.unpack(answer)
        text = int(found).to_bytes(4, "big").decode("ascii", errors="replace")
        return None if result else (text, (length, kind), value)
