"""The process: from settings to a serving agent and back, and the verbs of the command line.

Owns the order of things. A component is an async context manager and nothing else: entering it
makes it ready, leaving it refuses new work, flushes, and leaves no task behind. They are
entered sinks first (servers, monitor, runs, rpc), so that on the way out sources stop first and
each stage drains into a living one. Every other room may be imported here, and none imports
this one.

One agent a data directory: the agent takes an exclusive `flock` before anything else and keeps
it for life, so that a socket file found at its address is stale by definition.
"""
