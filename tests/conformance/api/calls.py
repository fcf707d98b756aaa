"""What both `Api`s answer, call by call: one line of JSON each.

Usage: calls.py MODULE PROJECT REGISTRY
"""

import importlib

for part in (
    "reads",
    "runs",
    "searches",
    "changes",
):  # in this order: what is deleted is read before
    importlib.import_module(part)
