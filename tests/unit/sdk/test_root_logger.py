"""Warnings in the form of the root logger, which stays as the script set it up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trackd.messages.root_logger import root_warning

if TYPE_CHECKING:
    import pytest


def without_handlers(monkeypatch: pytest.MonkeyPatch, *, warns: bool) -> None:
    def is_enabled_for(_level: int) -> bool:
        return warns

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "isEnabledFor", is_enabled_for)


def test_without_handlers_it_is_printed_and_none_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_handlers(monkeypatch, warns=True)
    root_warning("a text")
    assert capsys.readouterr().err == "WARNING:root:a text\n"
    assert logging.getLogger().handlers == []


def test_a_logger_that_wants_no_warnings_gets_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_handlers(monkeypatch, warns=False)
    root_warning("a text")
    assert capsys.readouterr().err == ""


def test_handlers_of_the_script_get_it(caplog: pytest.LogCaptureFixture) -> None:
    root_warning("a text")
    assert [record.getMessage() for record in caplog.records] == ["a text"]
