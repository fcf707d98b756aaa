"""Registries: what an organization shares, its members, and the search through it.

Part of `trackd.api`; knows its collections and pages, and is known by `Api` alone.
"""
