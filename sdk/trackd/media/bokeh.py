"""`Bokeh`: interactive plots of bokeh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trackd.libraries import load
from trackd.media.stored import Media

if TYPE_CHECKING:
    import os

_EXTENSION = ".bokeh.json"


class Bokeh(Media):
    """A plot of bokeh.

    Args:
        data_or_path: a model such as a figure, a document, or path of a document's JSON.

    Attributes:
        b_obj: the document.

    Raises:
        TypeError: `data_or_path` is nothing of that.
        OSError: the file cannot be read.
        Error: bokeh is not installed.
    """

    log_type = "bokeh-file"
    folder = "media/bokeh"

    def __init__(self, data_or_path: str | os.PathLike[str] | Any) -> None:
        super().__init__()
        document_class = load("bokeh.document", "Bokeh", "bokeh").Document
        model_class = load("bokeh.model", "Bokeh", "bokeh").Model
        if isinstance(data_or_path, str | Path) and Path(data_or_path).exists():
            content = json.loads(Path(data_or_path).read_text(encoding="utf-8"))
            self.b_obj: Any = document_class.from_json(content)
            self.refer(data_or_path, _EXTENSION)
            return
        if isinstance(data_or_path, model_class):
            document = document_class()
            document.add_root(data_or_path)
        elif isinstance(data_or_path, document_class):
            document = data_or_path
        else:
            raise TypeError(
                f"Bokeh: data_or_path is of type {type(data_or_path).__name__}: "
                "use a bokeh model, a document, or the path of its JSON"
            )
        # Read back and written again, equal plots have equal bytes.
        self.b_obj = document_class.from_json(_content(document))
        self.hold(_encoded(_content(self.b_obj)), _EXTENSION)


def _content(document: Any) -> Any:
    """Return a document as plain values, which newer versions only do when asked."""
    try:
        return document.to_json(deferred=False)
    except TypeError:
        return document.to_json()


def _encoded(content: Any) -> bytes:
    roots = content.get("roots")
    if isinstance(roots, dict) and "references" in roots:
        references = cast("list[dict[str, Any]]", roots["references"])
        references.sort(key=lambda reference: reference["id"])
    return json.dumps(content, separators=(",", ":")).encode()
