"""From a Python value to a frame on disk.

Owns: what may be logged and what becomes of it (`values`, `row_check`), the hot path of `log()`
(`recorder`), and the process's own crash-safe queue (`spool`, `spool_place`). Knows no agent and
no network.
"""
