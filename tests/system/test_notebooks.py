"""A notebook whose cells use the SDK, executed by the real Jupyter kernel."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import nbclient
import nbformat.v4
import pytest

if TYPE_CHECKING:
    from pathlib import Path

CELLS = (
    "import time, trackd\nrun = trackd.init(project='p', id='first', mode='offline')\nrun",
    "run.log({'x': 0})",
    "print('said in a cell')\nrun.log({'x': 1})",
    "trackd.init(project='p', id='second', mode='offline') is run, run.is_finished",
    "1 / 0",
    "trackd.run.id, trackd.run.display(), trackd.run.to_html(hidden=True)",
    "trackd.finish()",
    """from types import SimpleNamespace as Has
from trackd.lifecycle import notebooks
online = Has(settings=trackd.Settings(), backend=Has(url='http://127.0.0.1:1/r'))
notebooks.display(online, 200, hidden=False)""",
)


def text_of(cell: Any) -> str:
    """Return all that a cell showed."""
    shown: list[str] = []
    for output in cell.outputs:
        shown += output.get("data", {}).values()
        shown.append(output.get("text", ""))
        shown.append(output.get("ename", ""))
    return "\n".join(shown)


# Kernels are started through sockets that its client closes late.
@pytest.mark.filterwarnings("default")
def test_runs_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TRACKD_DIR", "data"), ("HOME", "home"), ("IPYTHONDIR", "ipython")):
        (tmp_path / value).mkdir()
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("TRACKD_IDLE_TIMEOUT", "1")
    kernel = tmp_path / "kernels" / "here"
    kernel.mkdir(parents=True)
    command = f'["{sys.executable}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    (kernel / "kernel.json").write_text(
        f'{{"argv": {command}, "display_name": "h", "language": "python"}}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    v4: Any = nbformat.v4  # it has no types
    book = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in CELLS])
    client = nbclient.NotebookClient(
        book,
        kernel_name="here",
        timeout=240,
        startup_timeout=240,
        allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    first, _, said, second, failed, shown, _, framed = map(text_of, book.cells)
    assert "<trackd.Run p/first>" in first
    assert "said in a cell" in said
    assert "(False, True)" in second  # a second init in a notebook ends the first run
    assert "ZeroDivisionError" in failed
    assert "'second'" in shown and "True" in shown  # an exception in a cell ends no run
    assert "<iframe src" in framed and "Warning" not in framed
    assert document(tmp_path, "first")["history"] == 2
    assert "said in a cell" in document(tmp_path, "first")["console"]
    assert document(tmp_path, "second")["state"] == "finished"


def document(folder: Path, run_id: str) -> dict[str, Any]:
    """Return what an offline run of the notebook recorded."""
    from trackd_agent.runs.folders.document import replay, run_document
    from trackd_agent.runs.folders.run_folder import find_writers
    from trackd_proto.layout import RunFolderFacts

    [run_dir] = (folder / "trackd").glob(f"offline-run-*-{run_id}")
    facts = RunFolderFacts.read(run_dir)
    deadline = time.monotonic() + 120
    while True:
        made = [replay(source, facts) for source in find_writers(run_dir, facts)]
        found = run_document([writer for writer in made if writer], run_dir / "files")
        if found["run"]["state"] != "running" or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return {
        "history": len(found["history"]),
        "console": found["console"],
        "state": found["run"]["state"],
    }
