"""Each setting with its value, where that comes from, and whether it does anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trackd.account import keys
from trackd.settings import FIELDS, shown_value

if TYPE_CHECKING:
    from trackd.settings import Loaded

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `init` would find it now."""

    name: str
    value: str
    source: str
    description: str
    #: Why it changes nothing; empty: it does.
    no_effect: str
    deprecated: str

    def as_json(self) -> dict[str, Any]:
        """Return the row with the names of JSON."""
        return asdict(self)

    @property
    def text(self) -> str:
        """The row for people, and what the setting is for."""
        notes = [f"no effect: {self.no_effect}"] if self.no_effect else []
        notes += [f"deprecated: {self.deprecated}"] if self.deprecated else []
        note = f"  [{'; '.join(notes)}]" if notes else ""
        return f"{self.name} = {self.value}  ({self.source}){note}\n    {self.description}"


def rows(loaded: Loaded) -> list[Row]:
    """Return all settings by name."""
    values, sources = loaded.settings.as_dict(), dict(loaded.sources)
    address = loaded.settings.base_url
    if address and not values["api_key"]:
        values["api_key"], source = keys.find(address)
        if source:
            sources["api_key"] = source
    return [
        Row(
            name,
            shown_value(FIELDS[name], values[name] or None if name == "api_key" else values[name]),
            sources.get(name, DEFAULT),
            str(FIELDS[name].__doc__),
            FIELDS[name].inert,
            FIELDS[name].deprecated,
        )
        for name in sorted(FIELDS)
    ]
