"""What the agent keeps of a writer, damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trackd_agent.runs.writer_facts import FACTS_FILE, WriterFacts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\0\0", b'{"run_id": "\xff"}', b"[" * 99_999]
)
def test_damaged_facts_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FACTS_FILE).write_bytes(content)
    assert WriterFacts.load(tmp_path) is None
