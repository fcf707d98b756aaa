"""The cache keeps to its bound, drops what was used least recently, and never fails a download."""

from __future__ import annotations

import hashlib
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

from trackd_agent.artifacts.cache import FileCache
from trackd_agent.artifacts.contents import MD5, XXH128, KnownFiles, copy_range, hasher

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def put(cache: FileCache, tmp_path: Path, data: bytes, algorithm: str = MD5) -> bytes:
    """Let the cache keep a content; return its digest."""
    state = hasher(algorithm)
    state.update(data)
    source = tmp_path / "source"
    source.write_bytes(data)
    descriptor = os.open(source, os.O_RDONLY)
    try:
        cache.keep(descriptor, algorithm, state.digest())
    finally:
        os.close(descriptor)
    return state.digest()


def read(cache: FileCache, digest: bytes, algorithm: str = MD5) -> bytes | None:
    descriptor = cache.open(algorithm, digest)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def used(cache: FileCache, digest: bytes, hours_ago: float) -> None:
    name = digest.hex()
    path = cache.root / "obj" / "md5" / name[:2] / name[2:]
    then_ns = time.time_ns() - int(hours_ago * 3600e9)
    os.utime(path, ns=(then_ns, then_ns))


def test_the_layout_is_that_of_the_reference(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 1000, 0)
    put(cache, tmp_path, b"hello")
    put(cache, tmp_path, b"hello", XXH128)
    files = {str(p.relative_to(cache.root)) for p in cache.root.rglob("*") if p.is_file()}
    assert files == {
        "obj/md5/5d/41402abc4b2a76b9719d911017c592",
        "obj/xxh128/b5/e9c1ad071b3e7fc779cfaa5e523818",
    }
    state = cache.state()
    assert state.kinds == {"md5": (1, 5), "xxh128": (1, 5)} and state.bytes == 10


def test_the_least_recently_used_file_goes_first(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 1000, 0)
    old, newer, newest = (put(cache, tmp_path, bytes([n]) * 300) for n in range(3))
    used(cache, old, 3)
    used(cache, newer, 2)
    used(cache, newest, 1)
    assert read(cache, old) == b"\0" * 300  # now it was used last
    put(cache, tmp_path, b"x" * 300)
    assert read(cache, newer) is None
    assert read(cache, old) and read(cache, newest)
    assert cache.state().bytes <= 1000


def test_the_bound_holds_however_much_comes(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 10_000, 0)
    for n in range(100):
        put(cache, tmp_path, os.urandom(100 + n * 10))
        assert sum(p.stat().st_size for p in cache.root.rglob("*") if p.is_file()) <= 10_000


def test_what_would_fill_half_of_it_is_not_kept(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 1000, 0)
    small = put(cache, tmp_path, b"s" * 100)
    assert read(cache, put(cache, tmp_path, b"l" * 501)) is None
    assert read(cache, small) and cache.state().not_kept == 1


def test_it_leaves_room_on_the_disk(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 1 << 40, 1 << 60)
    assert read(cache, put(cache, tmp_path, b"x")) is None
    assert cache.not_kept == 1


def test_a_place_that_cannot_be_written_keeps_nothing_and_fails_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = FileCache(tmp_path / "file" / "cache", 1000, 0)
    assert read(cache, put(cache, tmp_path, b"x")) is None
    assert (cache.not_kept, cache.state().files, cache.clean(0).files_removed) == (1, 0, 0)


def test_a_link_in_the_cache_is_not_followed(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 1000, 0)
    digest = hashlib.md5(b"secret").digest()
    path = cache.root / "obj" / "md5" / digest.hex()[:2] / digest.hex()[2:]
    path.parent.mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    path.symlink_to(tmp_path / "secret")
    assert cache.open(MD5, digest) is None


def test_cleaning_reaches_the_target_and_spares_unfinished_files_unless_told(
    tmp_path: Path,
) -> None:
    cache = FileCache(tmp_path / "cache", 10_000, 0)
    for n in range(10):
        used(cache, put(cache, tmp_path, bytes([n]) * 100), n)
    (cache.root / "tmp" / "unfinished").write_bytes(b"u" * 50)
    done = cache.clean(350)
    assert (done.files_removed, done.bytes_removed, done.bytes_left) == (7, 700, 300)
    assert cache.state().temporary_bytes == 50
    assert cache.clean(350, remove_temporary=True).bytes_removed == 50
    assert cache.state().temporary_files == 0


def test_digests_are_remembered_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    now_ns = [path.stat().st_ctime_ns + 10_000_000]
    clock = SimpleNamespace(time_ns=lambda: now_ns[0])
    monkeypatch.setattr("trackd_agent.artifacts.contents.time", clock)
    known = KnownFiles(10)
    hashed: list[int] = []

    def digest() -> str:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return known.digest_of(descriptor, MD5, lambda: hashed.append(1)).hex()
        finally:
            os.close(descriptor)

    assert digest() == digest() == hashlib.md5(b"one").hexdigest()
    assert len(hashed) == 2  # changed a moment ago: another change could leave no trace
    now_ns[0] += 50_000_000
    digest()
    del hashed[:]
    assert digest() == hashlib.md5(b"one").hexdigest() and not hashed
    facts = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # whoever hides a change
    assert digest() == hashlib.md5(b"two").hexdigest() and hashed


def test_ranges_are_copied_as_far_as_the_source_goes(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"0123456789")
    source = os.open(tmp_path / "from", os.O_RDONLY)
    target = os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT)
    try:
        assert copy_range(source, target, (2, 6), 0) == 4
        assert copy_range(source, target, (8, 20), 4) == 2
    finally:
        os.close(source)
        os.close(target)
    assert (tmp_path / "to").read_bytes() == b"234589"
