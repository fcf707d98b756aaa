"""The TensorBoard room: event files become rows, files and configuration of a run.

Owns the format of event files (TFRecord frames of protobuf messages, read by hand: no TensorFlow
is needed), what each kind of value becomes in history, and how far each file was read. It must
not know what a journal or a server is: `Follower.read` gives records, and whoever stored one
calls `Follower.accept`. Everything here is synchronous and may block; the runs room calls it in
worker threads.
"""

from trackd_agent.tensorboard.follower import Follower, Position

__all__ = ["Follower", "Position"]
