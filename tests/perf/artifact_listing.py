"""What lists of artifacts cost when they are long: the real client's operations, over HTTP.

    python -m tests.perf.artifact_listing [--collections 10000] [--versions 1000] [--rows 1000000]

Two servers get the same operations: one with a hundred collections of ten versions, one with
`--collections` in a project, among them as many as fit into `--rows` with `--versions` each. Rows
are written into the tables directly; every collection is linked in one registry as well.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from sqlalchemy import insert
from tests.support.server import RunningServer, running_server
from wandb.sdk.artifacts._generated import operations as client

from trackd_server.domain.registry import registries
from trackd_server.store import Database
from trackd_server.store.tables import artifacts as tables
from trackd_server.store.tables import projects
from trackd_server.store.tables.registry import registries as registry_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from sqlalchemy import Connection

REPEATS = 7
#: Rows inserted by one statement.
AT_ONCE = 20_000
START = 1_700_000_000.0
IN_PROJECT = {"entity": "local", "project": "p"}


def seed(connection: Connection, collections: int, long: int, versions: int) -> None:
    """Write `collections` sequences, the first `long` with `versions`, the others with ten."""
    names = ("p", registries.PREFIX + "r")
    for number, name in enumerate(names, 1):
        row = {"id": number, "entity": "local", "name": name, "created_at": START}
        connection.execute(insert(projects), row)
        kind = {"id": number, "project_id": number, "name": "dataset", "created_at": START}
        connection.execute(insert(tables.artifact_types), kind)
    rule = {"project_id": 2, "access": "PRIVATE", "allow_all_types": 1, "updated_at": START}
    connection.execute(insert(registry_table), rule)
    counts = [versions if number < long else 10 for number in range(collections)]
    for table, rows in _rows(counts):
        _insert(connection, table, rows)


def _rows(counts: list[int]) -> Iterator[tuple[Any, Iterator[dict[str, Any]]]]:
    ends: list[int] = []
    for count in counts:
        ends.append((ends[-1] if ends else 0) + count)
    total = ends[-1]
    owners = [owner for owner, count in enumerate(counts) for _ in range(count)]

    def collection(number: int, portfolio: int) -> dict[str, Any]:
        return {
            "id": number + 1 + portfolio * len(counts),
            "project_id": portfolio + 1,
            "name": f"{('set', 'linked')[portfolio]}-{number:05}",
            "kind": ("sequence", "portfolio")[portfolio],
            "type_id": portfolio + 1,
            "next_index": 1 if portfolio else counts[number],
            "created_at": START + number,
            "updated_at": START + number * 7919 % 10_007,
        }

    def version(number: int) -> dict[str, Any]:
        owner = owners[number]
        return {
            "id": number + 1,
            "collection_id": owner + 1,
            "version_index": counts[owner] - ends[owner] + number,
            "state": "COMMITTED",
            "digest": f"{number:032x}",
            "digest_algorithm": "MANIFEST_MD5",
            "metadata": json.dumps({"acc": number % 1_000 / 1_000}),
            "bytes": 1_000,
            "file_count": 1,
            "created_at": START + number,
            "updated_at": START + number,
            "committed_at": START + number,
        }

    def membership(number: int) -> dict[str, Any]:
        index = version(number)["version_index"]
        owner, made = owners[number] + 1, START + number
        return {
            "id": len(counts) + number + 1,
            "collection_id": owner,
            "version_id": number + 1,
            "version_index": index,
            "created_at": made,
        }

    def link(number: int) -> dict[str, Any]:
        return {
            "id": number + 1,  # older than all versions: the worst for a list of the newest
            "collection_id": len(counts) + number + 1,
            "version_id": ends[number],
            "version_index": 0,
            "created_at": START + number,
        }

    def latest(number: int) -> dict[str, Any]:
        own = number < len(counts)
        member = len(counts) + ends[number] if own else number - len(counts) + 1
        return {"collection_id": number + 1, "alias": "latest", "membership_id": member}

    yield tables.collections, (collection(n, kind) for kind in (0, 1) for n in range(len(counts)))
    yield tables.versions, map(version, range(total))
    yield tables.memberships, map(membership, range(total))
    yield tables.memberships, map(link, range(len(counts)))
    yield tables.aliases, map(latest, range(2 * len(counts)))


def _insert(connection: Connection, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == AT_ONCE:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def walk(
    server: RunningServer, text: str, asked: dict[str, Any], way: list[str]
) -> tuple[str | None, str | None]:
    """Return cursors in the middle of a list and close to its end, found in big steps."""
    cursor, pages = None, list[str | None]()
    while True:
        found: Any = server.graphql(text, {**asked, "perPage": 100, "cursor": cursor})
        for step in way:
            found = found[step]
        pages.append(cursor)
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            return pages[len(pages) // 2], pages[-1]


def operations(server: RunningServer, last: int) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    kind = {**IN_PROJECT, "type": "dataset"}
    members = {**kind, "collection": "set-00000", "perPage": 50}
    registry = {"organization": "local", "perPage": 50}
    in_kind = ["project", "artifactType", "artifactCollections"]
    middle, end = walk(server, client.ARTIFACT_TYPE_ARTIFACT_COLLECTIONS_GQL, kind, in_kind)
    older, oldest = walk(
        server,
        client.PROJECT_ARTIFACTS_GQL,
        members,
        ["project", "artifactType", "artifactCollection", "artifacts"],
    )

    def ask(text: str, **asked: Any) -> Callable[[], object]:
        return lambda: server.graphql(text, asked)

    listed = client.ARTIFACT_TYPE_ARTIFACT_COLLECTIONS_GQL
    named = json.dumps({"name": f"set-{last:05}"})
    part = json.dumps({"name": {"$contains": f"{last:05}"}})
    return {
        "collections, first page": ask(listed, **kind, perPage=50),
        "collections, a page in the middle": ask(listed, **kind, perPage=50, cursor=middle),
        "collections, last page": ask(listed, **kind, perPage=50, cursor=end),
        "collections by name, first page": ask(listed, **kind, perPage=50, order="+name"),
        "collections by change, first page": ask(listed, **kind, perPage=50, order="-updated_at"),
        "collection by filter on its name": ask(listed, **kind, perPage=50, filters=named),
        "collections with a part of a name": ask(listed, **kind, perPage=50, filters=part),
        "one collection": ask(client.PROJECT_ARTIFACT_COLLECTION_GQL, **kind, name="set-00007"),
        "versions, first page": ask(client.PROJECT_ARTIFACTS_GQL, **members),
        "versions, a page in the middle": ask(
            client.PROJECT_ARTIFACTS_GQL, **members, cursor=older
        ),
        "versions, last page": ask(client.PROJECT_ARTIFACTS_GQL, **members, cursor=oldest),
        "versions by metadata": ask(
            client.PROJECT_ARTIFACTS_GQL, **members, filters='{"metadata.acc": {"$lt": 0.005}}'
        ),
        "one version by alias": ask(
            client.ARTIFACT_MEMBERSHIP_BY_NAME_GQL, **IN_PROJECT, name="set-00003:latest"
        ),
        "registry: collections": ask(client.REGISTRY_COLLECTIONS_GQL, **registry),
        "registry: versions": ask(client.REGISTRY_VERSIONS_GQL, **registry),
        "registry: versions by alias": ask(
            client.REGISTRY_VERSIONS_GQL, **registry, artifactFilter='{"alias": "latest"}'
        ),
        "web page: collections": page(server, "/local/p/artifacts"),
        "web page: collections with a part of a name": page(
            server, f"/local/p/artifacts?q={last:05}"
        ),
        "web page: one collection": page(server, "/local/p/artifacts/dataset/set-00000"),
        "web page: one version": page(server, "/local/p/artifacts/dataset/set-00000/v3"),
    }


def page(server: RunningServer, path: str) -> Callable[[], object]:
    """Return what gets a page of the web interface."""

    def get() -> None:
        with server.client() as http:
            http.get(path, headers={"accept": "text/html"}).raise_for_status()

    return get


def cpu_ms(server: RunningServer) -> float:
    """Return how long the server's threads have worked: told apart from who else works here."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


@asynccontextmanager
async def seeded(collections: int, long: int, versions: int) -> AsyncGenerator[RunningServer]:
    """Start a fresh server of this size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        database = Database(folder / "server" / "trackd.sqlite")
        database.migrate()
        with database.write() as connection:
            seed(connection, collections, long, versions)
        database.close()
        async with running_server(folder) as server:
            yield server


async def compare(collections: int, long: int, versions: int) -> None:
    """Print milliseconds of each operation on both servers, asked in turns: others work here."""
    async with seeded(100, 1, 50) as small, seeded(collections, long, versions) as large:
        print(f"{collections:,} collections, {long:,} of them with {versions:,} versions")
        print(f"{'milliseconds (median), of the CPU':46}{'100':>14}{collections:>18}")
        pairs = zip(
            operations(small, 99).items(), operations(large, collections - 1).items(), strict=True
        )
        for (title, call_small), (_, call_large) in pairs:
            taken: dict[str, list[tuple[float, float]]] = {"small": [], "large": []}
            for _ in range(REPEATS + 1):
                taken["small"].append(timed(small, call_small))
                taken["large"].append(timed(large, call_large))
            shown = [map(statistics.median, zip(*each[1:], strict=True)) for each in taken.values()]
            cells = ["{:.1f} ({:.1f})".format(*each) for each in shown]  # the first warms up
            print(f"{title:46}{cells[0]:>14}{cells[1]:>18}", flush=True)


def timed(server: RunningServer, call: Callable[[], object]) -> tuple[float, float]:
    """Return milliseconds of a call, and those of the server's CPU."""
    started_s, before_ms = time.perf_counter(), cpu_ms(server)
    call()
    return (time.perf_counter() - started_s) * 1_000, cpu_ms(server) - before_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    room = options.rows - 10 * options.collections
    long = max(1, min(options.collections, room // max(1, options.versions - 10)))
    anyio.run(compare, options.collections, long, options.versions)


if __name__ == "__main__":
    main()
