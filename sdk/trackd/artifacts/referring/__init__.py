"""References: entries that say where bytes are, made from stores and read back from them.

It knows entries and object stores, not artifacts: `contents` adds what it returns, and downloads
ask it for what a server does not hold.
"""
