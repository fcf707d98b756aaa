"""Cutting files into chunks, and the pack that carries them."""

from __future__ import annotations

import random
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackd_proto import chunks
from trackd_proto.chunks import Chunk, Cut, Cutter, InvalidPack, PackEntry, cut_file

DATA = random.Random(5).randbytes(3_000_000)


def cut(data: bytes, blocks: list[int]) -> list[Chunk]:
    cutter = Cutter()
    found: list[Chunk] = []
    at = 0
    for size in blocks:
        found += cutter.feed(data[at : at + size])
        at += size
    found += cutter.feed(data[at:])
    return [*found, *cutter.finish()]


@settings(max_examples=30)
@given(st.integers(0, len(DATA)), st.lists(st.integers(0, 500_000), max_size=6))
def test_chunks_are_the_same_however_the_file_arrives(length: int, blocks: list[int]) -> None:
    data = DATA[:length]
    found = cut(data, blocks)
    assert b"".join(chunk.data for chunk in found) == data
    assert [chunk.name for chunk in found] == [chunk.name for chunk in cut(data, [])]
    assert all(len(chunk.data) <= chunks.MAX_CHUNK_BYTES for chunk in found)


@settings(max_examples=20)
@given(st.integers(0, 9_000_000), st.integers(0, 100_000), st.integers(1, 5_000_000))
def test_a_file_on_disk_is_cut_as_its_bytes_are(length: int, before: int, limit: int) -> None:
    data = (DATA * 4)[:length]
    seen = bytearray()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(before) + data + b"behind")
        file.flush()
        found: list[Cut] = []
        at, end = before, before + length
        while at < end:
            found += cut_file(
                file.fileno(), at, end, limit, is_inside=at > before, look=seen.extend
            )
            at = found[-1].start + found[-1].length
        with pytest.raises(EOFError):
            cut_file(file.fileno(), before, end + 7, length + 7)
    assert [(each.name, each.length) for each in found] == [
        (chunk.name, len(chunk.data)) for chunk in cut(data, [])
    ]
    assert bytes(seen) == data


def test_a_small_file_is_one_chunk_and_an_empty_one_none() -> None:
    assert cut(b"", []) == []
    (only,) = cut(DATA[: chunks.WHOLE_BYTES], [1, 40_000])
    assert only.name == chunks.chunk_name(DATA[: chunks.WHOLE_BYTES])
    assert len(cut(DATA[: 4 * chunks.WHOLE_BYTES], [])) > 1


def test_an_insertion_changes_only_the_chunks_around_it() -> None:
    before = {chunk.name for chunk in cut(DATA, [])}
    after = cut(DATA[:1_000_000] + b"new" + DATA[1_000_000:], [])
    assert sum(chunk.name not in before for chunk in after) <= 3


def test_a_header_is_read_back_and_wrong_ones_are_refused() -> None:
    entries = [PackEntry(bytes([n]) * 32, n + 1) for n in range(5)]
    header = chunks.pack_header(entries)
    assert chunks.header_bytes(header[:8]) == len(header)
    assert chunks.parse_header(header) == entries
    for wrong in (header[:-1], header + b"x", b"TPK9" + header[4:], b"", b"TPK1"):
        with pytest.raises(InvalidPack):
            chunks.parse_header(wrong)
    for length in (0, chunks.MAX_CHUNK_BYTES + 1):
        with pytest.raises(InvalidPack, match="1 to 262144"):
            chunks.parse_header(chunks.pack_header([PackEntry(b"n" * 32, length)]))
    many = [PackEntry(b"n" * 32, chunks.MAX_CHUNK_BYTES)] * 257
    with pytest.raises(InvalidPack, match="67108864"):
        chunks.parse_header(chunks.pack_header(many))
    with pytest.raises(InvalidPack, match="no row"):
        chunks.split_names(b"x" * 33)
