"""Names are refused with the field, the reason and what to do."""

from __future__ import annotations

import pytest

from trackd_server.domain import names
from trackd_server.domain.auth import Keys
from trackd_server.domain.errors import InvalidRequest


@pytest.mark.parametrize("bad", ["a/b", "..", ".", "a\x00b", "a\nb", "x" * 129, "a?b", "a\ud800"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid run id name") as caught:
        names.checked("run id", bad)
    assert caught.value.code == "INVALID_REQUEST"


@pytest.mark.parametrize("bad", ["", "/etc/passwd", "a/../b", "..", "a//b", "./a", "a\x00", "a/"])
def test_a_file_name_that_leaves_the_run_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid file name"):
        names.file_name(bad)


@pytest.mark.parametrize("good", ["a.txt", "d/name with space ü.txt", "...x", "100%?.txt", "a\\b"])
def test_other_file_names_are_kept_as_they_are(good: str) -> None:
    assert names.file_name(good) == good


def test_nothing_means_the_default_entity_and_project() -> None:
    assert names.entity(None) == names.entity("") == "local"
    assert names.project(None) == "uncategorized"


def test_ids_lead_back_to_their_row_and_nothing_else_does() -> None:
    assert names.row_number("Run", names.storage_id("Run", 7)) == 7
    for bad in ("", "zzz", names.storage_id("File", 7), "UnVuOng="):
        with pytest.raises(InvalidRequest):
            names.row_number("Run", bad)


def test_a_signature_is_good_for_one_method_one_path_and_a_day() -> None:
    keys = Keys("k" * 40)
    query = dict(part.split("=") for part in keys.sign("PUT", "/files/a").split("&"))
    expires, signature = query["expires"], query["signature"]
    assert keys.is_signed("PUT", "/files/a", expires, signature)
    assert not keys.is_signed("GET", "/files/a", expires, signature)
    assert not keys.is_signed("PUT", "/files/b", expires, signature)
    assert not keys.is_signed("PUT", "/files/a", str(int(expires) + 1), signature)
    assert not Keys("x" * 40).is_signed("PUT", "/files/a", expires, signature)
    old = dict(part.split("=") for part in keys.sign("PUT", "/files/a", now=1000.0).split("&"))
    assert not keys.is_signed("PUT", "/files/a", old["expires"], old["signature"])
    assert not keys.is_signed("PUT", "/files/a", "²", "ü")
