"""References to S3, against a real server of that kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakes.s3_server import S3Server, s3_server

from trackd.artifacts import Artifact
from trackd.artifacts.referring.reading import ReferenceReader
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OBJECTS = {
    "set/train": b"123",
    "set/odd #1?%20+ü": b"1234",
    "set/empty": b"",
    "set2/train": b"12345",
    "marked/": b"",
    "marked/x": b"123456",
}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        for bucket in ("plain", "kept"):
            running.bucket(bucket)
        running.keep_versions("kept")
        for key, body in OBJECTS.items():
            running.put("plain", key, body)
        running.put("plain", "folder", b"", "application/x-directory; charset=UTF-8")
        running.put("plain", "folder/y", b"y")
        yield running


@pytest.fixture(autouse=True)
def store(place: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return server


def referred(uri: str, name: str | None = None, checksum: bool = True) -> Artifact:
    artifact = Artifact("a", "t")
    artifact.add_reference(uri, name, checksum)
    return artifact


def paths(uri: str, name: str | None = None) -> list[str]:
    return sorted(referred(uri, name).manifest.entries)


def read(artifact: Artifact, path: str, root: Path) -> bytes:
    with ReferenceReader() as reader:
        assert reader.read(artifact.manifest.entries[path], root / path)
    return (root / path).read_bytes()


def test_an_object_tells_digest_and_size() -> None:
    [entry] = referred("s3://plain/set/train").manifest.entries.values()
    assert (entry.path, entry.size, entry.ref) == ("train", 3, "s3://plain/set/train")
    assert entry.digest == "202cb962ac59075b964b07152d234b70"  # MD5 of 123
    assert entry.extra == {"etag": entry.digest}


def test_a_folder_is_its_objects_and_not_those_of_its_namesakes() -> None:
    assert paths("s3://plain/set") == ["odd #1?%20+ü", "train"]
    assert paths("s3://plain/set/", "in") == ["in/odd #1?%20+ü", "in/train"]
    assert paths("s3://plain/marked/") == paths("s3://plain/marked") == ["x"]
    assert paths("s3://plain/folder") == ["y"]  # marked by its content type


def test_objects_of_a_whole_bucket_keep_their_keys_apart() -> None:
    entries = referred("s3://plain").manifest.entries
    expected = {key for key, body in OBJECTS.items() if body} | {"folder/y"}
    assert {path: entry.ref for path, entry in entries.items()} == {
        key: f"s3://plain/{key}" for key in expected
    }


def test_what_is_not_there_refers_to_nothing_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert paths("s3://plain/nothing") == []
    assert paths("s3://plain/set/empty") == []
    assert capsys.readouterr().err.count("no object with bytes is there") == 2


def test_too_many_objects_are_refused() -> None:
    artifact = Artifact("a", "t")
    with pytest.raises(ValueError, match="more than 1 objects"):
        artifact.add_reference("s3://plain/set", max_objects=1)
    assert not artifact.manifest.entries


def test_without_checksum_the_store_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    [entry] = referred("S3://bucket/set/?versionId=x", checksum=False).manifest.entries.values()
    assert (entry.path, entry.digest, entry.size) == ("set", "s3://bucket/set/", None)
    [entry] = referred("gs://bucket/deep/key#17", checksum=False).manifest.entries.values()
    assert (entry.path, entry.digest) == ("deep/key", "gs://bucket/deep/key")


def test_many_pages_of_objects_are_all_there(
    store: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd.object_stores.s3._PAGE", 10)
    store.bucket("many")
    for number in range(25):
        store.put("many", f"n/{number:04}", b"x")
    assert paths("s3://many/n") == [f"{number:04}" for number in range(25)]


def test_odd_keys_are_read_back(tmp_path: Path) -> None:
    artifact = referred("s3://plain")
    for key, body in OBJECTS.items():
        if body:
            assert read(artifact, key, tmp_path) == body


def test_an_object_that_changed_is_missing_where_no_versions_are_kept(
    store: S3Server, tmp_path: Path
) -> None:
    for key in ("changed", "deleted"):
        store.put("plain", f"own/{key}", b"old")
    artifact = referred("s3://plain/own")
    store.put("plain", "own/changed", b"new")
    store.delete("plain", "own/deleted")
    for path in artifact.manifest.entries:
        with pytest.raises(FileNotFoundError, match="any more"):
            read(artifact, path, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_version_is_read_whatever_came_after_it(store: S3Server, tmp_path: Path) -> None:
    first = store.put("kept", "v/x", b"first")
    second = store.put("kept", "v/x", b"second")
    [entry] = referred(f"s3://kept/v/x?versionId={first}").manifest.entries.values()
    assert (entry.ref, entry.extra["versionID"], entry.size) == ("s3://kept/v/x", first, 5)
    latest = referred("s3://kept/v")
    assert latest.manifest.entries["x"].extra["versionID"] == second
    store.delete("kept", "v/x")
    assert read(latest, "x", tmp_path) == b"second"
    with pytest.raises(FileNotFoundError, match="no such version"):
        referred("s3://kept/v/x?versionId=7d3f4f3e-0000-0000-0000-000000000000")


def test_an_entry_without_version_finds_the_one_with_its_etag(
    store: S3Server, tmp_path: Path
) -> None:
    store.bucket("late")
    store.put("late", "x", b"from before versions were kept")
    artifact = referred("s3://late/x")
    store.keep_versions("late")
    for body in (b"second", b"third"):
        store.put("late", "x", body)
    assert read(artifact, "x", tmp_path) == b"from before versions were kept"


def test_another_etag_under_the_version_is_refused(store: S3Server, tmp_path: Path) -> None:
    store.put("kept", "w", b"as it is")
    artifact = referred("s3://kept/w")
    artifact.manifest.entries["w"].digest = "0" * 32
    with pytest.raises(ValueError, match="has ETag"):
        read(artifact, "w", tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_was_recorded_without_checksum_is_read_as_it_is(
    store: S3Server, tmp_path: Path
) -> None:
    artifact = referred("s3://plain/set/train", "t", checksum=False)
    assert read(artifact, "t", tmp_path) == OBJECTS["set/train"]


def test_a_refusal_names_store_reason_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommError) as caught:
        referred("s3://no-such-bucket/x")
    for part in ("s3://no-such-bucket", "NoSuchBucket", "AWS_ACCESS_KEY_ID", "'us-east-1'"):
        assert part in caught.value.message
    assert isinstance(caught.value, OSError)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "absent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(
        CommError, match=r"No credentials were found; looked for: AWS_ACCESS.*'absent'"
    ):
        referred("s3://no-such-bucket/x")
