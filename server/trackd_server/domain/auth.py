"""The one API key of a local server, and signatures of addresses that need no key."""

from __future__ import annotations

import hashlib
import hmac
import time

#: How long an upload or download address stays good.
URL_LIFETIME_S = 24 * 3600


class Keys:
    """Checks the API key and signs addresses with a secret derived from it."""

    def __init__(self, api_key: str) -> None:
        self._key = api_key.encode()
        self._secret = hmac.digest(self._key, b"trackd signed address", "sha256")
        #: What a browser keeps after the login form; says nothing about the key itself.
        self.cookie = hmac.digest(self._key, b"trackd browser session", "sha256").hex()

    def is_key(self, candidate: str) -> bool:
        """Tell whether this is the key, in constant time."""
        return hmac.compare_digest(candidate.encode(errors="replace"), self._key)

    def is_cookie(self, candidate: str) -> bool:
        """Tell whether this is the cookie of a logged-in browser."""
        return hmac.compare_digest(candidate.encode(errors="replace"), self.cookie.encode())

    def sign(self, method: str, path: str, now: float | None = None) -> str:
        """Return the query text that allows `method` on `path` for a day."""
        expires = int((time.time() if now is None else now) + URL_LIFETIME_S)
        return f"expires={expires}&signature={self._signature(method, path, expires)}"

    def is_signed(self, method: str, path: str, expires: str, signature: str) -> bool:
        """Tell whether `sign` made this for the same method and path, and it is still good."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return False
        wanted = self._signature(method, path, int(expires))
        matches = hmac.compare_digest(wanted.encode(), signature.encode(errors="replace"))
        return matches and int(expires) > time.time()

    def _signature(self, method: str, path: str, expires: int) -> str:
        text = f"{method}\n{path}\n{expires}".encode(errors="replace")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()
