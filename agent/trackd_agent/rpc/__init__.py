"""The agent's door: who may come in, and the services of `trackd.v1` behind it.

Owns: the doorman (public socket, peer credentials, limits), the gRPC server on its private
socket, the servicers, and the table from errors to statuses. Translates between protobuf and
the plain dataclasses of the other rooms, and decides nothing: no handler owns a task or a run.
Must not know how rows are decoded or uploaded. Called by `daemon` only.
"""
