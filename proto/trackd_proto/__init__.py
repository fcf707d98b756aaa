"""What the SDK, the agent and the server must agree on, and nothing else.

Owns: the gRPC protocol (`v1/`), the frame format of spool and journal
(`frames`), the records inside the frames (`records`), where things lie on disk
(`layout`), and the names of the W&B HTTP protocol (`wandb_http`). Holds no
behaviour beyond encoding and decoding, imports nothing of ours, and may be
imported by every package of trackd.
"""
