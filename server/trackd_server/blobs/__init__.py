"""Bytes of files, by key, behind obstore (a local folder for now). Knows no names or owners.

A key is never reused and a blob never changed: a new version of a file gets a new key. So an
upload that dies half-way leaves the old version whole.
"""

from trackd_server.blobs.folder import BlobFolder, Stored

__all__ = ["BlobFolder", "Stored"]
