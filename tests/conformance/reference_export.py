"""What the real `wandb` recorded in a run folder, as the document of the conformance README.

    python tests/conformance/reference_export.py RUN_DIR        one folder
    python tests/conformance/reference_export.py --diff SCRIPT  a script under both, compared

Reads the transaction log (LevelDB log framing, protobuf records) with the message classes of the
installed `wandb`, so that any script can be an oracle for ours. `test_oracle.py` checks it
against the goldens.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import json
import re
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


def _message_classes() -> Any:
    """Return the module of the message classes, without the 0.4 s that all of `wandb` takes.

    Which module it is depends on the installed protobuf, so that no checker can know its classes.
    """
    found = find_spec("wandb")
    if found is None:
        raise ModuleNotFoundError("the oracle needs the real wandb: install the group dev")
    if "wandb" not in sys.modules:
        sys.modules["wandb"] = shell = ModuleType("wandb")
        shell.__path__ = list(found.submodule_search_locations or ())
    return importlib.import_module("wandb.proto.wandb_internal_pb2")


pb = _message_classes()

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance"
_BLOCK_BYTES = 32_768
_HEADER_BYTES = 7
_POLICIES = {0: "now", 1: "end", 2: "live"}
_KINDS = ("min", "max", "mean", "last", "first", "none")
_NOT_LISTED = re.compile(
    r"requirements\.txt|wandb-metadata\.json|wandb-summary\.json|config\.yaml"
    r"|conda-environment\.yaml|diff.*\.patch|output(_.*)?\.log|logs/output.*\.log"
)
_MAX_JSON_BYTES = 64 * 1024


def records(log: Path) -> Iterator[Any]:
    """Yield the records of a transaction log."""
    data = log.read_bytes()
    position, pending = _HEADER_BYTES, b""
    while position + _HEADER_BYTES <= len(data):
        left = _BLOCK_BYTES - position % _BLOCK_BYTES
        if left < _HEADER_BYTES:
            position += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            position += left
            continue
        pending += data[position + _HEADER_BYTES : position + _HEADER_BYTES + size]
        position += _HEADER_BYTES + size
        if kind in (1, 4):
            record = pb.Record()
            record.ParseFromString(pending)
            pending = b""
            yield record


def _path(item: Any) -> list[str]:
    return list(item.nested_key) or [item.key]


def put(tree: dict[str, Any], path: list[str], value: Any, *, merge: bool = False) -> None:
    """Set a value at a path; with `merge`, mappings are merged and empty ones leave no trace."""
    if merge and isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            put(tree, [*path, key], part, merge=True)
        return
    for part in path[:-1]:
        below: Any = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = cast("dict[str, Any]", below)
    tree[path[-1]] = value


def drop(tree: dict[str, Any], path: list[str]) -> None:
    """Remove what is at a path."""
    for part in path[:-1]:
        below: Any = tree.get(part)
        if not isinstance(below, dict):
            return
        tree = cast("dict[str, Any]", below)
    tree.pop(path[-1], None)


class Document:
    """The run document, built record by record."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.run: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.metrics: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, str] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.exit_code: int | None = None
        self.preempting = False

    def take(self, record: Any) -> None:
        """Take one record."""
        kind = record.WhichOneof("record_type")
        if handle := getattr(self, f"_on_{kind}", None):
            handle(getattr(record, kind))

    def _on_run(self, run: Any) -> None:
        self._on_config(run.config)
        self.run = {
            "id": run.run_id,
            "name": run.display_name or None,
            "project": run.project,
            "group": run.run_group or None,
            "job_type": run.job_type or None,
            "tags": list(run.tags),
            "notes": run.notes or None,
        }

    def _on_config(self, config: Any) -> None:
        for item in config.update:
            put(self.config, _path(item), json.loads(item.value_json), merge=True)
        for item in config.remove:
            drop(self.config, _path(item))

    def _on_summary(self, summary: Any) -> None:
        for item in summary.update:
            put(self.summary, _path(item), json.loads(item.value_json))
        for item in summary.remove:
            drop(self.summary, _path(item))

    def _on_history(self, history: Any) -> None:
        row: dict[str, Any] = {}
        for item in history.item:
            put(row, _path(item), json.loads(item.value_json))
        if history.HasField("step"):
            row["_step"] = history.step.num
        self.history.append(row)

    def _on_metric(self, metric: Any) -> None:
        if metric.expanded_from_glob:
            return
        name = metric.name or metric.glob_name
        empty: dict[str, Any] = {
            "step_metric": None,
            "step_sync": False,
            "hidden": False,
            "summary": [],
        }
        known = self.metrics.setdefault(name, {"name": name, **empty})
        if metric._control.overwrite:
            known.update(empty)
        kinds = [kind for kind in _KINDS if getattr(metric.summary, kind)]
        if kinds:
            kept = [kind for kind in known["summary"] if kind != "none"]
            known["summary"] = sorted({*kept, *kinds})
        known["step_metric"] = metric.step_metric or known["step_metric"]
        known["step_sync"] |= metric.options.step_sync
        known["hidden"] |= metric.options.hidden

    def _on_files(self, files: Any) -> None:
        for item in files.files:
            self.policies[item.path] = _POLICIES[item.policy]

    def _on_exit(self, end: Any) -> None:
        self.exit_code = end.exit_code

    def _on_preempting(self, _: Any) -> None:
        self.preempting = True

    def _on_alert(self, alert: Any) -> None:
        self.alerts.append(
            {
                "title": alert.title,
                "text": alert.text,
                "level": alert.level,
                "wait_ms": alert.wait_duration,
            }
        )

    def _on_artifact(self, artifact: Any) -> None:
        self.artifacts.append(
            {
                "name": artifact.name,
                "type": artifact.type,
                "description": artifact.description or None,
                "metadata": json.loads(artifact.metadata or "{}"),
                "aliases": sorted(artifact.aliases),
                "tags": sorted(artifact.tags),
                "distributed_id": artifact.distributed_id or None,
                "final": artifact.finalize,
                "ttl_seconds": artifact.ttl_duration_seconds or None,
                "files": [_entry(e) for e in sorted(_entries(artifact), key=lambda e: e.path)],
            }
        )

    def finished(self) -> dict[str, Any]:
        """Return the document."""
        code = self.exit_code
        state = "crashed" if code is None else "failed" if code else "finished"
        reserved = self.config.pop("_wandb", {})
        shown = {k: reserved[k] for k in ("visualize", "pinned_keys") if k in reserved}
        if shown:
            self.config["_wandb"] = shown
        for key in ("_wandb", "_runtime", "_timestamp"):
            self.summary.pop(key, None)
        return {
            "run": {
                **self.run,
                "state": state,
                "exit_code": code,
                "preempting": self.preempting,
            },
            "config": self.config,
            "summary": self.summary,
            "history": self.history,
            "metrics": [self.metrics[name] for name in sorted(self.metrics)],
            "files": self._files(),
            "console": self._console(),
            "artifacts": self.artifacts,
            "alerts": self.alerts,
        }

    def _files(self) -> list[dict[str, Any]]:
        root = self.run_dir / "files"
        found = {
            path.relative_to(root).as_posix(): path
            for path in _walk(root)
            if not _NOT_LISTED.fullmatch(path.relative_to(root).as_posix())
        }
        names = set(found) | {n for n in self.policies if not _NOT_LISTED.fullmatch(n)}
        return [_file(name, root / name, self.policies.get(name)) for name in sorted(names)]

    def _console(self) -> list[str]:
        root = self.run_dir / "files"
        logs = sorted(root.glob("output*.log")) + sorted(root.glob("logs/output*.log"))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in logs]
        return [line for text in texts for line in text.split("\n")[:-1]]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder; a linked folder counts as one."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _file(name: str, path: Path, policy: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "size": None, "md5": None, "policy": policy}
    if path.is_file():
        found |= _content(path)
    return found


def _content(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    found: dict[str, Any] = {"size": len(data), "md5": hashlib.md5(data).hexdigest()}
    if path.suffix == ".json" and len(data) <= _MAX_JSON_BYTES:
        found["json"] = json.loads(data)
    return found


def _entries(artifact: Any) -> list[Any]:
    if artifact.manifest.manifest_file_path:
        return _manifest_file(Path(artifact.manifest.manifest_file_path))
    return list(artifact.manifest.contents)


def _manifest_file(path: Path) -> list[Any]:
    """Read the entries of a manifest that is kept beside the log: gzipped JSON lines."""
    import gzip

    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [pb.ArtifactManifestEntry(**json.loads(line)) for line in lines]


def _entry(entry: Any) -> dict[str, Any]:
    if entry.ref:
        return {"path": entry.path, "ref": entry.ref, "size": entry.size}
    md5 = base64.b64decode(entry.digest).hex()
    found: dict[str, Any] = {"path": entry.path, "size": entry.size, "md5": md5}
    local = Path(entry.local_path)
    if local.suffix == ".json" or entry.path.endswith(".json"):
        content = _content(local) if local.is_file() else {}
        with suppress(OSError, ValueError):  # staged under another name, or gone
            found["json"] = content.get("json", json.loads(local.read_bytes()))
    return found


def export(run_dir: Path) -> dict[str, Any] | None:
    """Return the document of a run folder; None where there is no run in it."""
    document = Document(run_dir)
    for log in run_dir.glob("run-*.wandb"):
        for record in records(log):
            document.take(record)
    return document.finished() if document.run else None


def compare(script: Path, keep: Path) -> int:
    """Run a script under both modules at once, show the differences, return their exit status."""
    ours = f"{Path(sys.executable).with_name('trackd')} export --json"
    theirs = f"{sys.executable} {Path(__file__)}"
    runs: list[subprocess.Popen[bytes]] = []
    for module, command in (("wandb", theirs), ("trackd", ours)):
        options = ["--module", module, "--prefix", module, "--export", command, "--timeout", "400"]
        out = ["--out", str(keep / f"{module}.json"), "--keep", str(keep / module)]
        runner = [sys.executable, str(CONFORMANCE / "run_case.py"), str(script)]
        runs.append(subprocess.Popen([*runner, *options, *out]))
    statuses = [run.wait() for run in runs]
    if any(statuses):
        return 1
    found = [sys.executable, str(CONFORMANCE / "compare.py")]
    documents = [str(keep / "wandb.json"), str(keep / "trackd.json")]
    return subprocess.run([*found, *documents], check=False).returncode


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--diff", action="store_true", help="RUN_DIR is a script to compare")
    chosen = parser.parse_args()
    if chosen.diff:
        keep = Path(tempfile.mkdtemp(prefix="oracle-"))
        status = compare(chosen.run_dir, keep)
        print(f"{'different' if status else 'equal'}; kept in {keep}", file=sys.stderr)
        return status
    document = export(chosen.run_dir)
    if document is None:
        return 3
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
