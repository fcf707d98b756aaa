"""What the calls of `Api` take and refuse, before a server is asked."""

from __future__ import annotations

from typing import Any

import pytest

from trackd.api import Api, RefusedError, User
from trackd.api.errors import AbsentError, NotThereError, WrongTypeError, refusing
from trackd.api.filters import checked_filter, checked_order, each_name, names
from trackd.api.paginator import Paginator
from trackd.api.registries.accepted_types import ArtifactTypeList
from trackd.api.registries.registry import project_name
from trackd.artifacts.naming import ArtifactPath
from trackd.artifacts.online.lookup import by_id, by_name
from trackd.errors import CommError
from trackd.remote.operations import Operation

FIELDS = names("name", "tag", tags="tag")


class Pages(Paginator[int]):
    """Numbers from a server that holds ten of them, some hidden from this user."""

    def __init__(self, per_page: int, start: str | None = None, hidden: range = range(0)) -> None:
        self.asked: list[str | None] = []
        self.hidden = hidden
        super().__init__(self, Operation("Pages", ""), {}, per_page, start)  # type: ignore[arg-type]

    def execute(self, operation: object, variables: dict[str, Any]) -> dict[str, Any]:
        del operation
        first, count = int(variables["cursor"] or 0), variables["perPage"]
        self.asked.append(variables["cursor"])
        numbers = range(first, min(10, first + count))
        return {
            "edges": [{"node": None if n in self.hidden else n} for n in numbers],
            "pageInfo": {"hasNextPage": first + count < 10, "endCursor": str(first + count)},
        }

    def _connection(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer

    def _made(self, edge: dict[str, Any]) -> int | None:
        return edge["node"]


def test_pages_are_fetched_when_they_are_needed_and_kept() -> None:
    pages = Pages(per_page=4)
    assert next(iter(pages)) == 0
    assert pages.asked == [None]
    assert pages[5] == 5
    assert pages.asked == [None, "4"]
    assert list(pages) == list(pages) == list(range(10))
    assert pages.asked == [None, "4", "8"]
    assert not pages.more


class Broken:
    """A server whose answers are JSON, and not what was asked for."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def execute(self, *args: object) -> Any:
        del args
        return self._answer


@pytest.mark.parametrize("edges", [None, 5, [None], ["x"], [{}], {"node": 1}])
def test_a_page_that_makes_no_sense_is_an_error_of_the_server(edges: Any) -> None:
    pages = Pages(per_page=4)
    pages.execute = lambda operation, variables: {"edges": edges}  # type: ignore[method-assign]
    with pytest.raises(CommError, match="Pages: the server's answer"):
        list(pages)


@pytest.mark.parametrize("membership", [5, "x", [], {}, {"artifactCollection": "x", "artifact": 1}])
def test_an_artifact_that_makes_no_sense_is_an_error_of_the_server(membership: Any) -> None:
    broken: Any = Broken({"project": {"artifactCollectionMembership": membership}, "artifact": 7})
    with pytest.raises(CommError):
        by_name(broken, ArtifactPath("a:v0", "p", "e"))
    with pytest.raises(CommError):
        by_id(broken, "x")


def test_a_cursor_goes_on_where_another_list_was_left() -> None:
    begun = Pages(per_page=3)
    assert begun[0:3] == [0, 1, 2]
    assert list(Pages(per_page=3, start=begun.cursor)) == list(range(3, 10))


def test_pages_of_hidden_objects_do_not_end_the_list() -> None:
    assert list(Pages(per_page=2, hidden=range(2, 8))) == [0, 1, 8, 9]


def test_an_index_from_the_end_needs_all_pages() -> None:
    assert Pages(per_page=3)[-1] == 9
    assert Pages(per_page=3)[-3:] == [7, 8, 9]
    with pytest.raises(IndexError):
        Pages(per_page=3)[10]


def test_a_page_holds_one_item_at_least() -> None:
    with pytest.raises(ValueError, match="per_page=0"):
        Pages(per_page=0)


def test_names_of_fields_become_those_of_the_server_also_inside() -> None:
    wanted = {"$or": [{"tags": "x"}, {"$not": {"name": {"$in": ["a"]}}}]}
    assert checked_filter(wanted, FIELDS) == {
        "$or": [{"tag": "x"}, {"$not": {"name": {"$in": ["a"]}}}]
    }
    assert checked_filter({"name.first": 1}, FIELDS) == {"name.first": 1}
    assert checked_filter(None, FIELDS) is None


def test_names_in_a_filter_are_completed_and_patterns_are_not() -> None:
    complete = each_name(lambda name: f"<{name}>")
    assert complete({"$in": ["a", "b"], "$regex": "c"}) == {"$in": ["<a>", "<b>"], "$regex": "c"}


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"colour": 1}, ValueError, "colour"),
        ({"$and": [{"name": 1}, {"colour": 1}]}, ValueError, "colour"),
        ({"tag": 1, "tags": 2}, ValueError, "second name"),
        ([1], TypeError, "dictionary"),
        ({"$and": {"name": 1}}, TypeError, "list"),
        ({"$or": ["name"]}, TypeError, "dictionary"),
    ],
)
def test_a_wrong_filter_is_refused(wanted: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        checked_filter(wanted, FIELDS)


def test_a_bottomless_filter_is_refused() -> None:
    wanted: dict[str, Any] = {"name": 1}
    for _ in range(5_000):
        wanted = {"$and": [wanted]}
    with pytest.raises(ValueError, match="inside one another"):
        checked_filter(wanted, FIELDS)


def test_an_order_has_a_sign_and_a_known_field() -> None:
    assert checked_order("name") == "+name"
    assert checked_order("-tags", FIELDS) == "-tag"
    for wrong in ("!x", "", "-", "a b", "-colour"):
        with pytest.raises(ValueError, match="order"):
            checked_order(wrong, FIELDS)


def test_types_of_a_registry_are_added_and_never_taken_back_once_saved() -> None:
    types = ArtifactTypeList(["model"])
    types.extend(["dataset", "model", "dataset"])
    assert (list(types), types.draft) == (["model", "dataset"], ("dataset",))
    types.remove("dataset")
    assert types == ["model"]
    for change in (
        lambda: types.remove("model"),
        lambda: types.pop(0),
        lambda: types.append("a:b"),
    ):
        with pytest.raises(ValueError, match=r"model|saved|a:b"):
            change()
    with pytest.raises(IndexError):
        types.insert(0, "first")


@pytest.mark.parametrize("name", ["", "x" * 114, "a/b", "a?b", "a\nb"])
def test_a_registry_cannot_be_called_so(name: str) -> None:
    with pytest.raises(ValueError, match="registry name"):
        project_name(name)


def test_errors_are_what_python_and_the_reference_expect() -> None:
    def call(error: Exception) -> None:
        raise error

    for raised, expected in (
        (ValueError("v"), RefusedError),
        (KeyError("k"), RefusedError),
        (TypeError("t"), WrongTypeError),
        (NotThereError("n"), NotThereError),
    ):
        with pytest.raises(expected) as caught:
            refusing(call)(raised)
        assert isinstance(caught.value, CommError)
        assert isinstance(caught.value, ValueError | TypeError)


@pytest.mark.parametrize("name", ["sweep", "reports", "automations", "job", "create_team"])
def test_what_only_other_servers_have_says_so(name: str) -> None:
    api = Api.__new__(Api)  # without asking a server
    assert not hasattr(api, name)
    with pytest.raises(AbsentError, match=rf"Api\.{name}: use the package `wandb`"):
        getattr(api, name)


def test_a_user_has_no_keys_to_change() -> None:
    user = User({"name": "me", "teams": {"edges": [{"node": {"name": "us"}}]}})
    assert user.teams == ["us"] and user.api_keys == []
    with pytest.raises(AbsentError, match="keys"):
        user.generate_api_key()
