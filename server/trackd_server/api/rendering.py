"""Pages from templates. No script, nothing from elsewhere: the headers forbid both."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    import jinja2

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; "
        # A notebook on the same machine shows a run in a frame.
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
    ),
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def render(template: str, **values: Any) -> str:
    """Return the text of a page; a value that the template lacks is an error."""
    return _templates().get_template(template).render(values)


def page(text: str, status: int = 200) -> Response:
    """Return a page as an answer."""
    # A program may have printed or logged half a surrogate pair, which UTF-8 cannot carry.
    return HTMLResponse(text.encode(errors="replace"), status, _HEADERS)


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # with the first page: the start of a run need not wait for it

    return jinja2.Environment(
        loader=jinja2.PackageLoader("trackd_server.api"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
