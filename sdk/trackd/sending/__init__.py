"""From the spool to the agent.

Owns: finding and starting the agent (`discovery`), the gRPC connection (`agent_link`,
`quiet_grpc`), and the sender that streams, reconnects and replays. Knows frames as bytes only.
"""
