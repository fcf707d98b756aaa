"""What a person reads when a run begins and ends.

Owns the words of header and footer, sparklines, and the functions `termlog`, `termwarn` and
`termerror`. How lines get to the terminal is `trackd.terminal`'s business.
"""

from __future__ import annotations

from trackd.messages.footer import Digest, print_footer
from trackd.messages.header import print_header

__all__ = ["Digest", "print_footer", "print_header"]
