"""Which collectors there are: every module of `collectors` that has a `COLLECTOR`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from trackd_agent.monitor import collectors
from trackd_agent.monitor.contract import Registration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _discover() -> tuple[Registration, ...]:
    found: list[Registration] = []
    for module_info in pkgutil.iter_modules(collectors.__path__):
        module = importlib.import_module(f"{collectors.__name__}.{module_info.name}")
        registration = module.COLLECTOR
        if not isinstance(registration, Registration):
            raise TypeError(f"{module.__name__}.COLLECTOR is not a Registration")
        found.append(registration)
    return tuple(sorted(found, key=lambda registration: registration.name))


#: All collectors, by name.
REGISTRATIONS = _discover()


def choose(registrations: Sequence[Registration], wanted: Mapping[str, bool]) -> list[Registration]:
    """Return the registrations that are switched on, by setting or else by default.

    Raises:
        ValueError: A setting names a collector that does not exist.
    """
    names = [registration.name for registration in registrations]
    if unknown := sorted(set(wanted) - set(names)):
        raise ValueError(
            f"monitor.collectors: unknown collector {', '.join(unknown)}; "
            f"there are {', '.join(names)}"
        )
    return [known for known in registrations if wanted.get(known.name, known.default_on)]
