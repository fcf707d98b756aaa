"""One file a collector: `COLLECTOR = Registration(name, make, default_on)` and one method.

A collector reads through `monitor.readers`, reports amounts and raises `NoDataError` where the
machine has no such source. It has no timing, no threads, no failure policy, no memory of earlier
ticks, and does not import another collector: the sampler owns all of that.
"""
