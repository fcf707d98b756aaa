"""Artifacts on their way: saves to a server, downloads from it, the cache between.

Owns the sequence of calls that makes a version out of staged files, the manifest on its way,
verified downloads, and the cache of file contents. Must not know ranks, rows or protobuf. Called
by `rpc` and `runs`.
"""
