"""Benchmarks: ours and the peer in one go. Nothing here asserts on time."""
