"""AMD GPUs: whether there is a driver, and the two ways to ask: a library, or a tool."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.probe import ProbeReader
from trackd_agent.monitor.readers.tool import ToolReader

if TYPE_CHECKING:
    from trackd_agent.monitor.config import MonitorConfig
    from trackd_agent.monitor.readers.library import Libraries

#: As `probes.amd` looks for it.
_ROCM_SMI = ("librocm_smi64.so", "librocm_smi64.so.1")
#: As the package `amdsmi` looks for it, which prints a page of text where it is missing.
_AMD_SMI = "libamd_smi.so"
_ROCM = Path("/opt/rocm/lib")
_ROCM_VARIABLES = ("ROCM_HOME", "ROCM_PATH")
_TOOLS = ("rocm-smi", "/usr/bin/rocm-smi", "/opt/rocm/bin/rocm-smi")
#: How much of a tick a tool may wait; the rest is for what follows.
_SHARE_OF_DEADLINE = 0.75
_CARD = re.compile(r"card(0|[1-9][0-9]{0,3})", re.ASCII)


class CardsError(Exception):
    """What `rocm-smi` printed is not what it is documented to print."""


@dataclass(frozen=True, slots=True)
class AmdReader:
    """The ways to ask about AMD GPUs."""

    driver: Path  # /sys/module/amdgpu
    library: ProbeReader  # ROCm SMI or AMD SMI, see `probes.amd`
    tool: ToolReader  # `rocm-smi -a --json`

    @classmethod
    def of(cls, config: MonitorConfig, libraries: Libraries) -> AmdReader:
        """Return a reader that starts no process where there is no driver or no library."""
        return cls(
            driver=config.sys_root / "module" / "amdgpu",
            library=ProbeReader(
                "amd",
                environment=libraries.environment,
                missing=lambda: _missing_library(libraries),
            ),
            tool=ToolReader(_TOOLS, ("-a", "--json"), config.deadline_s * _SHARE_OF_DEADLINE),
        )

    def require_driver(self) -> None:
        """Do nothing if the driver is loaded.

        Raises:
            NoDataError: It is not.
        """
        try:
            state = (self.driver / "initstate").read_text(encoding="utf-8", errors="replace")
        except OSError:
            # A driver that is built into the kernel has a folder, but no state.
            state = "live" if self.driver.is_dir() else "absent"
        if "live" not in state:
            raise NoDataError(f"no AMD driver: {self.driver} is {state.strip() or 'empty'}")

    def close(self) -> None:
        """End the processes."""
        self.library.close()
        self.tool.close()


def parse_cards(text: str) -> dict[int, dict[str, str]]:
    """Return the fields of each card, names in lower case, from `rocm-smi -a --json`.

    Versions differ in the case of names. Lines before the JSON (warnings) are skipped, and so
    is whatever is not a card.

    Raises:
        CardsError: There is no JSON object.
    """
    start = re.search(r"^\s*\{", text, re.MULTILINE)
    if start is None:
        raise CardsError("rocm-smi printed no JSON object")
    try:
        found: object = json.JSONDecoder().raw_decode(text, start.end() - 1)[0]
    except (ValueError, RecursionError) as error:
        raise CardsError(f"rocm-smi printed broken JSON: {error}") from error
    cards: dict[int, dict[str, str]] = {}
    for name, fields in cast("dict[str, object]", found).items():
        if (match := _CARD.fullmatch(name)) and isinstance(fields, dict):
            cards[int(match[1])] = _fields(cast("dict[str, Any]", fields))
    return cards


def _fields(fields: dict[str, Any]) -> dict[str, str]:
    """Return fields that hold text or numbers, as the tool's text; it says N/A for none."""
    texts = {
        name.lower(): str(value).strip()
        for name, value in fields.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    return {name: text for name, text in texts.items() if text and not text.startswith("N/A")}


def _missing_library(libraries: Libraries) -> str:
    """Return why neither of the libraries of `probes.amd` can be there, nothing if one may be."""
    if libraries.find(*_ROCM_SMI) or any((_ROCM / name).exists() for name in _ROCM_SMI):
        return ""
    package = importlib.util.find_spec("amdsmi")
    if package is None:
        return "neither librocm_smi64.so nor the Python package amdsmi is installed"
    own = [Path(package.origin).parent] if package.origin else []
    chosen = [Path(os.environ[name], "lib") for name in _ROCM_VARIABLES if os.environ.get(name)]
    if libraries.find(_AMD_SMI) or any(
        (each / _AMD_SMI).exists() for each in [*own, *chosen, _ROCM]
    ):
        return ""
    return f"there is neither librocm_smi64.so nor {_AMD_SMI}"
