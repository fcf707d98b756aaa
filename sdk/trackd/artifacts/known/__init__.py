"""What is known of the user's files from the last time they were logged.

Owns the notes of their digests, and when these hold. Called by `contents`, which adds files.
"""
