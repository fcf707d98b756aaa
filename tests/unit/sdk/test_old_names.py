"""Names that old scripts call."""

from __future__ import annotations

import pytest

import trackd


def test_join_is_finish() -> None:
    assert trackd.join is trackd.finish


def test_what_was_required_once_is_always_there(capsys: pytest.CaptureFixture[str]) -> None:
    trackd.require("core")
    trackd.require(experiment=["service@beta"])
    trackd.require()
    said = capsys.readouterr().err
    assert "require('core') has nothing to do" in said and "'service'" in said


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(trackd.UnsupportedError, match="report-editing"):
        trackd.require("report-editing@alpha")
