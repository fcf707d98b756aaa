"""File contents by digest, kept for later downloads.

Owns the folder of the cache, its layout, its bound, and what goes first. Knows no server and no
manifest. Called by `downloads` and `rpc`.
"""

from trackd_agent.artifacts.cache.file_cache import CacheState, Cleaned, FileCache, cache_of

__all__ = ["CacheState", "Cleaned", "FileCache", "cache_of"]
