"""What the agent notes about a writer, in a journal of its own beside the writer's.

Owns: the reading of TensorBoard files in turns, the copying of what other processes record into
the writer's run, and the order in which both journals are read, live and again. Whoever reads a
writer's records reads them through `tandem`.
"""
