"""What happens to a run between its begin and its end: resumed, handed on, stopped, interrupted.

Owns resume, rewind and fork; runs in other processes; exit codes and hooks; stop requests; the
cells of notebooks. Knows nothing of values and rows. Called by the session and by `Run`.
"""
