"""AMD GPUs, through the ROCm SMI library or else the AMD SMI library.

Which one: `librocm_smi64.so` where the loader or `/opt/rocm` has it and it initialises, since that
is what the W&B client reads; else the Python package `amdsmi` (newer ROCm installations drop the
former). Both tell the same facts in the same units, so that nobody else has to know which one
answered; a call that a device does not support leaves its fact out.

Facts of `read`, for each of `devices`: `index`, `use_percent`, `vram_used_bytes`,
`vram_total_bytes`, `memory_busy_percent`, `memory_overdrive_percent`, `memory_temperature_c`,
`power_w`, `power_cap_w`, `energy_j` (counter of the driver). Facts of `describe`: `index`,
`unique_id`, `vbios_version`, `performance_level`, `overdrive_percent`,
`memory_overdrive_percent`, `power_cap_w`, `name`, `device_id`, `vendor`, `core_range_hz`,
`memory_range_hz` (lowest and highest).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.probes import AbsentError, amd_smi, rocm_smi

if TYPE_CHECKING:
    from trackd_agent.probes import Probe


def open(options: dict[str, Any]) -> Probe:
    """Return the probe of the library that is there.

    Raises:
        AbsentError: There is neither library, or neither finds a GPU.
    """
    reasons: list[str] = []
    for library in (rocm_smi, amd_smi):
        try:
            return library.open(options)
        except AbsentError as reason:
            reasons.append(str(reason))
    raise AbsentError("; ".join(reasons))
