"""Lists, links, lineage and pages of artifacts on a real server, call by call."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, closing
from html import unescape
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.support.artifact_wire import Artifacts, Refused
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.server import RunningServer

_USE = """mutation UseArtifact($input: UseArtifactInput!) { useArtifact(input: $input) {
  artifact { id } } }"""
_LINK = """mutation LinkArtifact($input: LinkArtifactInput!) { linkArtifact(input: $input) {
  versionIndex artifactMembership { id aliases { alias } artifactCollection { id name } } } }"""
_UPDATE = """mutation U($input: UpdateArtifactInput!) { updateArtifact(input: $input) {
  artifact { id } } }"""
_UNLINK = (
    """mutation U($input: UnlinkArtifactInput!) { unlinkArtifact(input: $input) { success } }"""
)
_LINEAGE = """query L($id: ID!, $direction: LineageDirection, $depth: Int) { artifact(id: $id) {
  lineage(direction: $direction, depth: $depth) {
    artifacts { id } runs { id name } edges { from to kind } isTruncated } } }"""
_REGISTRY = """mutation R($input: UpsertModelInput!) { upsertModel(input: $input) {
  inserted project { id } } }"""
_RUN_FILES = """query F($all: Boolean, $after: String, $first: Int) {
  project(name: "p", entityName: "local") { run(name: "maker") {
    files(includeManifests: $all, after: $after, first: $first) { totalCount edges { node {
      id name kind state sizeBytes ownerVersion { id } } } pageInfo { endCursor hasNextPage } } } }
  }"""
_DELETE_FILES = (
    """mutation D($input: DeleteFilesInput!) { deleteFiles(input: $input) { success } }"""
)


@asynccontextmanager
async def wired(folder: Path) -> AsyncGenerator[tuple[RunningServer, Artifacts]]:
    """Start a server, and a client of it."""
    async with running_server(folder) as server:
        with closing(Artifacts(server)) as wire:
            yield server, wire


def use(wire: Artifacts, run: str, version: str) -> None:
    given = {"entityName": "local", "projectName": "p", "runName": run, "artifactID": version}
    wire.graphql(_USE, {"input": given})


def link(wire: Artifacts, version: str, portfolio: str, *aliases: str, project: str = "p") -> Any:
    given = {
        "artifactID": version,
        "artifactPortfolioName": portfolio,
        "entityName": "local",
        "projectName": project,
        "aliases": [{"artifactCollectionName": portfolio, "alias": alias} for alias in aliases],
    }
    return wire.graphql(_LINK, {"input": given})["linkArtifact"]


def page(server: RunningServer, path: str, status: int = 200) -> str:
    """Return the text of a page, without its tags."""
    with server.client() as client:
        answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == status, answer.text[:2000]
    body = answer.text.split("<main>")[1]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def chain(wire: Artifacts, length: int) -> list[str]:
    """Log versions of which each is made by a run that used the one before; return their ids."""
    versions: list[str] = []
    for number in range(length):
        wire.run(f"run{number}")
        if versions:
            use(wire, f"run{number}", versions[-1])
        versions.append(wire.log(f"set{number}", {"a": str(number).encode()}, f"run{number}"))
    return versions


async def test_lineage_goes_up_down_and_stops_where_told(tmp_path: Path) -> None:
    async with wired(tmp_path) as (_, wire):
        versions = chain(wire, 5)

        def graph(direction: str | None, depth: int | None) -> Any:
            asked = {"id": versions[2], "direction": direction, "depth": depth}
            return wire.graphql(_LINEAGE, asked)["artifact"]["lineage"]

        up, down, both = graph("UPSTREAM", 50), graph("DOWNSTREAM", 50), graph("BOTH", 1)
        wire.graphql(_USE, {"input": {  # a run may use what it logged: a circle
            "entityName": "local", "projectName": "p", "runName": "run0", "artifactID": versions[4],
        }})  # fmt: skip
        circle = graph("BOTH", 50)
        assert graph(None, None)["artifacts"] == graph("BOTH", 6)["artifacts"]
    assert [one["id"] for one in up["artifacts"]] == versions[2::-1]
    assert {one["name"] for one in up["runs"]} == {"run0", "run1", "run2"}
    assert [one["id"] for one in down["artifacts"]] == versions[2:]
    assert not up["isTruncated"] and not down["isTruncated"]
    assert {one["kind"] for one in up["edges"]} == {"LOGGED", "USED"} and len(up["edges"]) == 5
    assert [one["name"] for one in both["runs"]] == ["run2", "run3"] and both["isTruncated"]
    assert len(circle["artifacts"]) == 5 and not circle["isTruncated"]
    ids = {one["id"] for one in (*circle["artifacts"], *circle["runs"])}
    assert all({edge["from"], edge["to"]} <= ids for edge in circle["edges"])


async def test_a_link_keeps_its_number_and_latest_follows(tmp_path: Path) -> None:
    async with wired(tmp_path) as (_, wire):
        first, second = (wire.log("set", {"a": text}) for text in (b"1", b"2"))
        draft = wire.create("set", {"a": b"3"})
        shown = [
            link(wire, first, "shown", "prod"),
            link(wire, second, "shown"),
            link(wire, first, "shown"),
        ]
        with pytest.raises(Refused, match="not committed"):
            link(wire, draft.id, "shown")
        with pytest.raises(Refused, match="sequence"):
            link(wire, first, "set")
        with pytest.raises(Refused, match="no registry"):
            link(wire, first, "x", project="wandb-registry-none")
        portfolio = shown[0]["artifactMembership"]["artifactCollection"]["id"]
        for _ in range(2):  # the answer was lost: asked for again
            unlinking = {"artifactID": first, "artifactPortfolioID": portfolio}
            wire.graphql(_UNLINK, {"input": unlinking})
        left = wire.versions("shown")
        wire.delete(second)
        gone = wire.versions("shown")
        report = wire.fsck()
    assert [one["versionIndex"] for one in shown] == [0, 1, 0]
    aliases = [
        sorted(alias["alias"] for alias in one["artifactMembership"]["aliases"]) for one in shown
    ]
    assert aliases == [["latest", "prod"], ["latest"], ["latest", "prod"]]
    assert [one["id"] for one in left] == [second] and gone == []
    assert report["ok"], report


async def test_manifests_are_listed_only_if_asked_for_and_stay(tmp_path: Path) -> None:
    async with wired(tmp_path) as (server, wire):
        wire.run("maker")
        versions = [wire.log("set", {"a": text}, "maker") for text in (b"1", b"2")]
        plain, every = (
            wire.graphql(_RUN_FILES, {"all": all_})["project"]["run"]["files"]
            for all_ in (False, True)
        )
        listed = [edge["node"] for edge in every["edges"]]
        with pytest.raises(Refused, match=r"409.*set:v0.*deleteArtifact"):
            wire.graphql(_DELETE_FILES, {"input": {"files": [listed[0]["id"]]}})
        text = page(server, "/local/p/runs/maker")
        usage = wire.usage("local/p/runs/maker")
        assert wire.http.put("/files/local/p/maker/own.txt", content=b"x").status_code == 200
        ones = one_by_one(wire)
        wire.delete(versions[0])
        after = wire.graphql(_RUN_FILES, {"all": True})["project"]["run"]["files"]
    assert plain["totalCount"] == 0 and every["totalCount"] == 2 and after["totalCount"] == 2
    assert ones == ["own.txt", *(one["name"] for one in listed)]
    assert {(one["kind"], one["state"]) for one in listed} == {("manifest", "COMMITTED")}
    assert [one["ownerVersion"]["id"] for one in listed] == versions
    assert sum(one["sizeBytes"] for one in listed) == usage["kinds"]["manifest"]
    assert "manifests of logged artifacts (2)" in text and "set:v1" in text


def one_by_one(wire: Artifacts) -> list[str]:
    """Return the names of a run's files and manifests, listed in pages of one."""
    found: list[str] = []
    page_info: dict[str, Any] = {"endCursor": None, "hasNextPage": True}
    while page_info["hasNextPage"]:
        asked = {"all": True, "first": 1, "after": page_info["endCursor"]}
        listed = wire.graphql(_RUN_FILES, asked)["project"]["run"]["files"]
        found += [edge["node"]["name"] for edge in listed["edges"]]
        page_info = listed["pageInfo"]
    return found


async def test_pages_show_what_there_is(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    async with wired(tmp_path) as (server, wire):
        wire.run("maker")
        first = wire.log(
            "set", {f"dir/{hostile}": b"1" * 2048, "ref": "s3://bucket/key"}, "maker",
            description=hostile, metadata='{"acc": 0.5}', tags=[{"tagName": "red one"}],
        )  # fmt: skip
        wire.log("set", {"a": b"2"}, artifactTypeName="dataset")
        wire.run("user")
        use(wire, "user", first)
        made = {"name": "wandb-registry-r", "entityName": "local", "access": "RESTRICTED"}
        wire.graphql(_REGISTRY, {"input": made})
        link(wire, first, "Shown", "prod", project="wandb-registry-r")
        lists = page(server, "/local/p/artifacts?q=SE")
        nothing = page(server, "/local/p/artifacts?q=zz")
        collection = page(server, "/local/p/artifacts/dataset/set")
        version = page(server, "/local/p/artifacts/dataset/set/v0")
        linked = page(server, "/local/wandb-registry-r/artifacts/dataset/Shown/v0")
        registry = page(server, "/orgs/local/registry/r")
        all_registries = page(server, "/registries")
        storage = [
            page(server, f"/storage{place}")
            for place in ("", "/local/p", "/local/p/runs/maker", "/local/p/artifacts/set")
        ]
        searched = [page(server, f"/orgs/local/registry/r?q={text}") for text in ("sho", "zz")]
        missing = page(server, "/local/p/artifacts/dataset/none", 404)
        usage = wire.usage()
        emptied = wire.log("emptied", {"a": b"3"})
        wire.delete(wire.log("set", {"a": b"gone"}))
        wire.delete(emptied)
        after = page(server, "/local/p/artifacts?q=t"), page(server, "/local/p/artifacts/x/emptied")
        with server.client() as client:
            raw = client.get("/local/p/artifacts/dataset/set/v0").text
            there = client.get(
                re.findall(r'href="(/artifactsV2/[^"]*)"', raw)[0].replace("&amp;", "&")
            )
            selected = client.get("/orgs/local/registry/r?selectionPath=local%2Fwandb-registry-r"
                                  "%2FShown&view=membership&version=v0")  # fmt: skip
    assert "set" in lists and "1 collection" in lists and "Nothing found" in nothing
    assert "v1" in collection and "v0" in collection and "latest" in collection
    assert "trackd artifact get local/p/set:v0" in version
    for text in ("set:v0", "maker", "user", "red one", "0.5", "s3://bucket/key", hostile):
        assert text in version
    assert "wandb-registry-r/Shown:v0" in version and "A link to local/p/set:v0" in linked
    assert "Shown" in registry and "members only" in registry and "r" in all_registries
    assert f"{usage['disk']:,}" in storage[0] and "set:v0" in storage[2] and "set:v1" in storage[3]
    assert "no artifact" in missing
    assert "Shown" in searched[0] and "Nothing found" in searched[1]
    assert "v1" in after[0] and "v2" not in after[0] and "All versions were deleted" in after[1]
    assert there.status_code == 200 and there.content == b"1" * 2048
    assert "<script>" not in raw
    assert '"/registries"' in raw
    assert selected.headers["location"] == "/local/wandb-registry-r/artifacts/dataset/Shown/v0"


async def test_a_registry_is_for_links_only_and_protects_from_expiry(tmp_path: Path) -> None:
    async with wired(tmp_path) as (server, wire):
        made = {"name": "wandb-registry-r", "entityName": "local"}
        wire.graphql(_REGISTRY, {"input": made})
        version = wire.log("set", {"a": b"1"})
        shown = link(wire, version, "Shown", project="wandb-registry-r")
        # Only now: before, it might expire on the way to the registry.
        wire.graphql(_UPDATE, {"input": {"artifactID": version, "ttlDurationSeconds": 1}})
        await anyio.sleep(1.1)
        kept = wire.versions("set")
        portfolio = shown["artifactMembership"]["artifactCollection"]["id"]
        given = {"artifactID": version, "artifactPortfolioID": portfolio}
        wire.graphql(_UNLINK, {"input": given})
        left = wire.versions("set")
        inside = Artifacts(server, "wandb-registry-r")
        with closing(inside), pytest.raises(Refused, match="registry"):
            inside.log("own", {"a": b"1"})
    assert [one["id"] for one in kept] == [version] and left == []
