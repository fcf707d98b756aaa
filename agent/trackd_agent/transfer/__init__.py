"""Bytes of files to addresses that a server hands out.

Owns reading from disk in pieces, hashing, what is uploaded again and when, and retries of
single files. Must not know rows or journals. Called by `runs` and `artifacts`.
"""

from trackd_agent.transfer.config import TransferConfig
from trackd_agent.transfer.uploader import FileUploader, is_safe_name

__all__ = ["FileUploader", "TransferConfig", "is_safe_name"]
