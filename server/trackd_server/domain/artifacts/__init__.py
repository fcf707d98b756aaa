"""Artifacts: collections, their versions and manifests, links, lineage, times to live.

Owns what a version is and what may be done with it; where bytes lie is `storage`'s business.
Functions that take a connection work in the caller's transaction.
"""
