"""The demonstration: a real small training in several rank processes that share one run.

`trackd demo` is the first thing a new user runs, and the shortest complete example of the SDK:
`training` is a data-parallel script as one writes it oneself, `digits` is its model and data,
`ring` averages the gradients, `verb` starts the ranks and shows what came of it. Nothing else
imports this package; what it needs beyond the SDK is the extra `demo`.
"""
