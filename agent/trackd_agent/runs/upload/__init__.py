"""How the journals of a run reach a server.

Owns pumps (journal in, acknowledged requests out, checkpoints between), what a server knows
about a run as a whole, the files that the agent writes for a run, and a run's final state.
Must not know who may attach or when a writer is dead. Called by `runs.run` and `runs.registry`.
"""
