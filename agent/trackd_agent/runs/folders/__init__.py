"""Run folders as they lie on disk: whose records are there, the run's document, its sync.

Owns reading what others recorded, while they record or after they died. Changes no record.
Called by the command line through `daemon`.
"""
