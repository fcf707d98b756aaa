"""The frame format: round trips, damage, segment headers."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd_proto.frames import (
    FRAME_HEADER_BYTES,
    FRAME_MAGIC,
    HEAD,
    MAX_FRAME_PAYLOAD_BYTES,
    SEGMENT_HEADER_BYTES,
    Damage,
    Scanner,
    decode_segment_header,
    encode_frame,
    encode_segment_header,
    frame_size,
)

PRODUCER = 0xFEDCBA9876543210
U64 = st.integers(0, 2**64 - 1)
PAYLOADS = st.lists(st.binary(max_size=300), max_size=20)


def stream_of(payloads: list[bytes], producer: int = PRODUCER) -> bytes:
    """Return frames of these payloads, numbered from 1."""
    return b"".join(
        encode_frame(2, producer, seq, payload) for seq, payload in enumerate(payloads, 1)
    )


def test_a_frame_is_laid_out_as_specified() -> None:
    frame = encode_frame(kind=3, producer=0x0102030405060708, seq=9, payload=b"abcde", flags=1)
    assert frame[:24].hex() == "a5d703010500000008070605040302010900000000000000"
    assert int.from_bytes(frame[24:28], "little") == zlib.crc32(b"abcde", zlib.crc32(frame[:24]))
    assert frame[28:] == b"abcde" + bytes(7)


@given(kind=st.integers(0, 255), flags=st.integers(0, 255), producer=U64, seq=U64, data=st.binary())
def test_a_frame_comes_back_as_it_was(
    kind: int, flags: int, producer: int, seq: int, data: bytes
) -> None:
    encoded = encode_frame(kind, producer, seq, data, flags)
    assert len(encoded) == frame_size(len(data))
    assert len(encoded) % 8 == 0
    scanner = Scanner(encoded)
    assert [tuple(frame) for frame in scanner] == [(kind, flags, seq, data)]
    assert (scanner.producer, scanner.good_end, scanner.damages) == (producer, len(encoded), [])


@given(payloads=PAYLOADS, zeros=st.integers(0, 200), start=st.integers(0, 5))
def test_a_stream_of_frames_comes_back_through_a_zero_tail(
    payloads: list[bytes], zeros: int, start: int
) -> None:
    stream = stream_of(payloads)
    scanner = Scanner(bytes(8 * start) + stream + bytes(zeros), 8 * start, PRODUCER)
    assert [bytes(frame.payload) for frame in scanner] == payloads
    assert scanner.good_end == 8 * start + len(stream)
    assert scanner.damages == []


@given(payloads=PAYLOADS, cut=st.integers(0, 10_000))
def test_a_stream_cut_anywhere_keeps_its_whole_frames(payloads: list[bytes], cut: int) -> None:
    stream = stream_of(payloads)
    cut = min(cut, len(stream))
    scanner = Scanner(stream[:cut], producer=PRODUCER)
    found = [bytes(frame.payload) for frame in scanner]
    assert found == payloads[: len(found)]
    ends = [sum(frame_size(len(p)) for p in payloads[:n]) for n in range(len(payloads) + 1)]
    pads = [-(FRAME_HEADER_BYTES + len(p)) % 8 for p in payloads]
    whole = sum(end - pad <= cut for end, pad in zip(ends[1:], pads, strict=True))
    assert len(found) == whole
    assert not scanner.damages


@given(
    payloads=st.lists(st.binary(max_size=200), min_size=3, max_size=12),
    data=st.data(),
    garbage=st.binary(min_size=1, max_size=64),
)
def test_overwritten_bytes_cost_only_the_frames_they_touch(
    payloads: list[bytes], data: st.DataObject, garbage: bytes
) -> None:
    stream = stream_of(payloads)
    at = data.draw(st.integers(0, len(stream) - len(garbage)))
    damaged = stream[:at] + garbage + stream[at + len(garbage) :]
    scanner = Scanner(damaged, producer=PRODUCER)
    found = {frame.seq: bytes(frame.payload) for frame in scanner}
    end = 0
    for seq, payload in enumerate(payloads, 1):
        begin, end = end, end + frame_size(len(payload))
        if damaged[begin:end] == stream[begin:end]:
            assert found[seq] == payload
    assert all(payload == payloads[seq - 1] for seq, payload in found.items())
    reported = sum(length for _, length in scanner.damages) + len(stream) - scanner.good_end
    assert reported == sum(
        frame_size(len(p)) for seq, p in enumerate(payloads, 1) if seq not in found
    )


def test_a_frame_inside_a_payload_is_not_a_row_while_the_outer_one_is_good() -> None:
    inner = encode_frame(2, PRODUCER, 77, b"inner")
    stream = stream_of([bytes(4) + inner, b"next"])  # 28 + 4: the inner one is aligned
    assert [frame.seq for frame in Scanner(stream)] == [1, 2]


def test_frames_of_another_producer_are_damage() -> None:
    mine, other = stream_of([b"a", b"b"]), encode_frame(2, PRODUCER ^ 1, 1, b"old")
    scanner = Scanner(mine[:32] + other + mine[32:])
    assert [frame.seq for frame in scanner] == [1, 2]
    assert scanner.damages == [Damage(32, len(other))]


def test_the_magic_at_an_odd_place_is_passed_over() -> None:
    garbage = b"\0\xa5\xd7" * 41 + bytes(5)
    scanner = Scanner(garbage + stream_of([b"a"]), producer=PRODUCER)
    assert [frame.seq for frame in scanner] == [1]
    assert scanner.damages == [Damage(0, len(garbage))]


@pytest.mark.parametrize("chunk", [64 * 1024 - 8, 64 * 1024, 64 * 1024 + 8, 200 * 1024])
def test_the_search_goes_on_over_its_chunks(chunk: int) -> None:
    scanner = Scanner(b"\1" * chunk + stream_of([b"a", b"b"]), producer=PRODUCER)
    assert [frame.seq for frame in scanner] == [1, 2]


def test_a_payload_beyond_the_limit_is_no_frame() -> None:
    frame = encode_frame(2, PRODUCER, 1, bytes(MAX_FRAME_PAYLOAD_BYTES + 1))
    assert list(Scanner(frame)) == []
    assert len(list(Scanner(encode_frame(2, PRODUCER, 1, bytes(MAX_FRAME_PAYLOAD_BYTES))))) == 1


def test_made_up_headers_cannot_make_the_search_quadratic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each claims the whole rest: checking all of them would mean 64 GiB."""
    size_bytes = 2 * 1024 * 1024
    heads = b"".join(
        HEAD.pack(
            FRAME_MAGIC, 2, 0, min(size_bytes - at - 32, MAX_FRAME_PAYLOAD_BYTES), PRODUCER, 1
        )
        + bytes(8)
        for at in range(0, size_bytes - 32, 32)
    )
    checked_bytes = 0
    plain_crc32 = zlib.crc32

    def crc32(data: bytes, start: int = 0) -> int:
        nonlocal checked_bytes
        checked_bytes += len(data)
        return plain_crc32(data, start)

    monkeypatch.setattr(zlib, "crc32", crc32)
    assert list(Scanner(heads, producer=PRODUCER)) == []
    assert checked_bytes < 20 * size_bytes


@given(data=st.binary(max_size=2000))
def test_no_bytes_make_the_scanner_fail(data: bytes) -> None:
    scanner = Scanner(data)
    list(scanner)
    assert 0 <= scanner.good_end <= len(data)


@given(run=U64, producer=U64, first=U64, created=U64)
def test_a_segment_header_comes_back(run: int, producer: int, first: int, created: int) -> None:
    header = encode_segment_header(run, producer, first, created)
    assert len(header) == SEGMENT_HEADER_BYTES
    assert decode_segment_header(header + b"more") == (1, run, producer, first, created)
    assert decode_segment_header(header[:-1]) is None


def test_a_segment_header_with_any_flipped_bit_is_none() -> None:
    header = bytearray(encode_segment_header(1, PRODUCER, 3, 4))
    for bit in range(len(header) * 8):
        header[bit // 8] ^= 1 << bit % 8
        assert decode_segment_header(bytes(header)) is None
        header[bit // 8] ^= 1 << bit % 8
