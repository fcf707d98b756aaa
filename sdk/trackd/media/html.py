"""`Html`: a page, shown in a frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from trackd.media.stored import ANY_NUMBER, Media, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from trackd.artifacts.online.values import Source

_EXTENSION = ".html"
#: What makes links of a page open outside its frame, and gives it the look of the others.
_HEAD = (
    '<base target="_blank"><link rel="stylesheet" type="text/css" '
    'href="https://app.wandb.ai/normalize.css" />'
)


class Html(Media):
    """A page.

    Args:
        data: the page itself, the path of an existing `.html` file, or a file object.
        inject: add a style sheet and let links open outside the frame.
        data_is_not_path: take a text as the page even where a file of that name exists.

    Attributes:
        html: the page.

    Raises:
        ValueError: `data` is nothing of that.
        TypeError: a file object holds bytes.
        OSError: the file cannot be read.
    """

    log_type = "html-file"
    folder = "media/html"
    max_batch = ANY_NUMBER

    def __init__(
        self, data: str | Path | TextIO, inject: bool = True, data_is_not_path: bool = False
    ) -> None:
        super().__init__()
        path = None if data_is_not_path else _existing_page(data)
        if path is not None:
            self.html = path.read_text(encoding="utf-8")
        elif isinstance(data, str):
            self.html = data
        else:
            self.html = _read(data)
        if inject:
            self.html = _with_head(self.html)
        if path is None or inject:
            self.hold(self.html.encode(), _EXTENSION)
        else:
            self.refer(path)

    @classmethod
    def _of_file(cls, path: str, form: dict[str, Any], source: Source) -> Self:
        del form, source
        return cls(path, inject=False)

    @classmethod
    def batch_form(cls, items: Sequence[Any], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list of pages."""
        del items
        return {"_type": "html", "count": len(forms), "html": forms}


def _existing_page(data: object) -> Path | None:
    if not isinstance(data, str | Path):
        return None
    path = Path(data)
    try:
        return path if path.suffix == _EXTENSION and path.is_file() else None
    except (OSError, ValueError):  # too long for a path: it is the page
        return None


def _read(data: object) -> str:
    if not hasattr(data, "read"):
        raise ValueError(f"Html: data is of type {type(data).__name__}: use text, a path or a file")
    return read_text("Html", cast("TextIO", data))


def _with_head(html: str) -> str:
    if "<head>" in html:
        before, after = html.split("<head>", 1)
        made = f"{before}<head>{_HEAD}{after}"
    elif "<html>" in html:
        before, after = html.split("<html>", 1)
        made = f"{before}<html><head>{_HEAD}</head>{after}"
    else:
        made = _HEAD + html
    return made.strip()
