"""Runs and their writers: who logs what, where it lies, and how it gets upstream.

Owns attach and detach, labels, the journals of the writers, the state machine that turns
frames into lines (`state`), the pumps that carry it to the upstreams, and recovery.
Must not know gRPC, HTTP or how a device is read. Called by `rpc` and `daemon`.
"""
