"""Objects that show what a server says of them: `run.created_at` is its field `createdAt`."""

from __future__ import annotations

import html
import importlib
from typing import TYPE_CHECKING, Any, ClassVar

from trackd.api.errors import AbsentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.errors import Node


class Attrs:
    """An object with the fields of an answer as attributes."""

    #: Members that the reference has and this class has not, and why.
    ABSENT: ClassVar[Mapping[str, str]] = {}

    def __init__(self, attrs: Node) -> None:
        self._attrs = dict(attrs)

    def __getattr__(self, name: str) -> Any:
        # Only what the class does not have comes here; `_attrs` before it is set, too.
        if not name.startswith("_"):
            for key in (_camel(name), name):
                if key in self._attrs:
                    return self._attrs[key]
        if name in self.ABSENT:
            raise AbsentError(type(self).__name__, name, self.ABSENT[name])
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows."""
        return self.to_html()

    def to_html(self, height: int = 420, hidden: bool = False) -> str | None:
        """Return HTML that shows the object's page in a frame; None: it has no page.

        Args:
            height: of the frame, in pixels.
            hidden: start folded.
        """
        if not hasattr(type(self), "url"):  # a field of this name is no page
            return None
        return framed(self.url, height, hidden)

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the object in a notebook; False: this is none."""
        from trackd.lifecycle.notebooks import in_notebook

        shown = self.to_html(height, hidden) if in_notebook() else None
        if shown is None:
            return False
        notebook = importlib.import_module("IPython.display")  # which the notebook brings
        notebook.display(notebook.HTML(shown))
        return True


def framed(url: str, height: int, hidden: bool) -> str:
    """Return HTML with a page in a frame."""
    source = html.escape(f"{url}?jupyter=true", quote=True)
    frame = f'<iframe src="{source}" style="border:none;width:100%;height:{height}px"></iframe>'
    return f"<details><summary>{html.escape(url)}</summary>{frame}</details>" if hidden else frame


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
