"""Files that a server holds: of a run, or of an artifact."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from trackd.api.attrs import Attrs
from trackd.api.errors import NotThereError, RefusedError, refusing
from trackd.api.operations import runs as operations
from trackd.api.paginator import SizedPaginator
from trackd.artifacts.paths import logical_path
from trackd.remote.answers import part, understood
from trackd.run_files.restoring import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.api.errors import Node
    from trackd.api.run_facts import RunFacts
    from trackd.api.runs import Run
    from trackd.remote.connection import Remote

_BLOCK_BYTES = 1 << 20
_MD5_CHARACTERS = 24  # base64 of an MD5
_KIB = 1024
_MARKS_FILES = "MARK_RUN_FILES_UPLOADED"


class File(Attrs):
    """A file that a server holds; `name`, `url`, `direct_url`, `mimetype`, `md5`, `updated_at`.

    Args:
        remote: the server.
        attrs: what the server says of it.
        run: whose file it is; None: an artifact's.
    """

    def __init__(self, remote: Remote, attrs: Node, run: Run | None = None) -> None:
        super().__init__(attrs)
        self._remote = remote
        self.run = run

    def __repr__(self) -> str:
        return f"<File {self.name} ({self.mimetype}) {_for_people(self.size)}>"

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self._attrs.get("sizeBytes") or 0)

    @property
    def path_uri(self) -> str:
        """Where it is in an object store, `s3://bucket/key`; empty: in none that is known."""
        direct = str(self._attrs.get("directUrl") or "")
        if direct == self._attrs.get("url"):
            return direct
        host, _, key = direct.partition("://")[2].partition("/")
        bucket, dot, service = host.partition(".")
        if not dot or not service.startswith("s3") or not service.endswith("amazonaws.com"):
            return ""
        return f"s3://{bucket}/{key.partition('?')[0]}"

    @refusing
    def download(
        self,
        root: str | os.PathLike[str] = ".",
        replace: bool = False,
        exist_ok: bool = False,
        api: object = None,
    ) -> TextIO:
        """Bring the file onto this machine, verify it, and open it for reading.

        Args:
            root: folder to put it into, under its name.
            replace: fetch it also where it is there.
            exist_ok: where it is there, open that one.
            api: accepted and ignored: a file knows its server.

        Raises:
            RefusedError: it is there and neither flag is set; its name leads out of the folder;
                or what came is not what the server's digest says.
            CommError: it cannot be fetched.
            OSError: it cannot be written.
        """
        del api
        target = Path(root) / logical_path(self.name)
        if target.exists() and not replace:
            if exist_ok:
                return target.open()
            raise ValueError(
                f"{target} is there already: replace=True fetches it again, exist_ok=True opens it"
            )
        partial = target.with_name(f".{target.name}.part")
        try:
            Server.of(self._remote.settings).download(self._address, partial)
            self._verify(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target.open()

    @property
    def _address(self) -> str:
        given = str(self._attrs.get("directUrl") or self._attrs.get("url") or "")
        return _absolute(self._remote, given)

    def _verify(self, path: Path) -> None:
        wanted = self._attrs.get("digest") or self._attrs.get("md5")
        if not isinstance(wanted, str) or len(wanted) != _MD5_CHARACTERS:
            return  # nothing known to compare with
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        found = base64.b64encode(digest.digest()).decode()
        if found != wanted:
            raise RefusedError(
                f"file {self.name!r}: its MD5 is {found}, the server says {wanted}: not kept"
            )

    def delete(self) -> None:
        """Delete the file of a run.

        Raises:
            RefusedError: it belongs to an artifact, whose files nobody changes.
            CommError: the server refuses, or does not answer.
        """
        if self.run is None:
            raise RefusedError(
                f"file {self.name!r} belongs to an artifact version: delete that, or log a new "
                "version without the file"
            )
        variables = {"files": [self.id], "projectId": self.run.project_internal_id}
        self._remote.execute(operations.DELETE_FILES, variables)


def uploaded(
    remote: Remote, run: RunFacts, path: str | os.PathLike[str], root: str | os.PathLike[str]
) -> str:
    """Send a file to a run; return its name there. See `Run.upload_file`."""
    place = os.path.relpath(path, root)
    if not Path(path).is_file():
        raise ValueError(f"path={os.fspath(path)!r} is no file")
    if Path(place).parts[0] == os.pardir:
        raise ValueError(f"path={os.fspath(path)!r} is not below root={os.fspath(root)!r}")
    name = str(logical_path(Path(place).as_posix()))
    whose: Node = {"entity": run.entity, "project": run.project, "run": run.id, "files": [name]}
    answer = remote.execute(operations.CREATE_FILES, whose)["createRunFiles"]
    with understood(operations.CREATE_FILES.name):
        (target,) = answer["files"]
        headers = [header.partition(":") for header in answer["uploadHeaders"] or ()]
    Server.of(remote.settings).upload(
        Path(path),
        _absolute(remote, target["uploadUrl"]),
        {key.strip(): value.strip() for key, _, value in headers},
    )
    if _MARKS_FILES in remote.features:  # others learn it from their object store
        remote.execute(operations.FILES_ARRIVED, whose)
    return name


def _absolute(remote: Remote, address: str) -> str:
    return f"{remote.base_url}{address}" if address.startswith("/") else address


class Files(SizedPaginator[File]):
    """Files of a run.

    Args:
        remote: the server.
        run: the run.
        names: only these.
        per_page: length of a page.
        upload: ask for addresses to upload to, too.
        pattern: only names like it, in the manner of SQL's LIKE.

    Raises:
        ValueError: both names and a pattern.
    """

    def __init__(
        self,
        remote: Remote,
        run: Run,
        names: Sequence[str] | None = None,
        per_page: int = 50,
        upload: bool = False,
        pattern: str | None = None,
    ) -> None:
        if names and pattern:
            raise ValueError(f"names={names!r} and pattern={pattern!r}: give one of them")
        self.run = run
        variables: Node = {
            "project": run.project,
            "entity": run.entity,
            "name": run.id,
            "fileNames": list(names or ()),
            "upload": upload,
            "pattern": pattern,
        }
        super().__init__(remote, operations.FILES, variables, per_page)

    def __repr__(self) -> str:
        return f"<Files {'/'.join(self.run.path)} ({len(self)})>"

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "run")
        if found is None:
            raise NotThereError(f"there is no run {'/'.join(self.run.path)}")
        return {**found["files"], "totalCount": found["fileCount"]}

    def _made(self, edge: Node) -> File | None:
        node = edge.get("node")
        return None if node is None else File(self._remote, node, self.run)


def _for_people(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB:
            return f"{value:.1f}{unit}"
        value /= _KIB
    return f"{value:.1f}TiB"
