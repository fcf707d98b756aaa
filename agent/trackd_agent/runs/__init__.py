"""What a run means: from the records of its writers to what is uploaded and exported.

Owns: the registry of runs and writers, one synchronous state machine per writer
(`state.WriterState`: rows, summary, metric definitions, configuration, console), the pump
that carries a writer's journal to its upstream, recovery after a crash, and the run
document that `trackd export` prints.

Must not know: gRPC, the command line, how a server stores things. All semantics are a
deterministic function of the journal's frames, so that a restart from a checkpoint produces
the same lines at the same offsets. Called by `rpc` and `daemon`.
"""
