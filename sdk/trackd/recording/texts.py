"""Texts for values that JSON has no form for, spelled as the reference spells them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_UTC_OFFSET = "+00:00"
_DAYS_PER_YEAR = 365


def clean_text(text: str) -> str:
    """Return text that UTF-8 can hold: lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_texts(value: Any) -> Any:
    """Return lists and dictionaries of plain values with every text in them cleaned."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list | tuple):
        return [clean_texts(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {clean_texts(key): clean_texts(item) for key, item in items}
    return value


def kind_of(value: Any) -> type[Any]:
    """Return the type of a value."""
    return cast("type[Any]", type(value))


def type_name(value: object) -> str:
    """Return the type of a value as an error message shows it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def dotted_name(value: Any) -> str:
    """Return a function or class as `module.name`, another callable object as its text."""
    try:
        return f"{value.__module__}.{value.__qualname__}"
    except AttributeError:
        return clean_text(str(value))


def datetime_text(value: datetime) -> str:
    """Return a moment in ISO 8601 with microseconds; UTC is `Z`."""
    moment: Any = value
    if moment != moment:  # the missing moment of pandas, whose moments have nanoseconds, too
        return str(moment.isoformat())
    text: str = (
        moment.replace(nanosecond=0) if hasattr(moment, "nanosecond") else moment
    ).isoformat()
    return text.removesuffix(_UTC_OFFSET) + "Z" if text.endswith(_UTC_OFFSET) else text


def duration_text(value: timedelta) -> str:
    """Return a duration in ISO 8601, such as `P1DT5.25S`; a year has 365 days."""
    sign = "-" if value.days < 0 else ""
    value = abs(value)
    years, days = divmod(value.days, _DAYS_PER_YEAR)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f"{value.microseconds:06d}".rstrip("0")
    whole = f"{seconds}.{fraction}" if fraction else str(seconds)
    day_part = _units((str(years), "Y"), (str(days), "D"))
    time_part = _units((str(hours), "H"), (str(minutes), "M"), (whole, "S"))
    if not day_part and not time_part:
        return "PT0S"
    return f"{sign}P{day_part}{'T' if time_part else ''}{time_part}"


def _units(*parts: tuple[str, str]) -> str:
    return "".join(f"{number}{unit}" for number, unit in parts if number != "0")


def complex_text(value: complex) -> str:
    """Return a complex number such as `1+2j`, without exponents."""
    imaginary = f"{_decimal_text(value.imag)}j"
    if not value.real:
        return imaginary
    sign = "" if imaginary.startswith("-") else "+"
    return f"{_decimal_text(value.real)}{sign}{imaginary}"


def _decimal_text(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    return f"{Decimal(repr(float(number))):f}".removesuffix(".0")
