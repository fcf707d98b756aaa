"""`/metrics`: what the agent, its node and its ranks do, for Prometheus and the like.

Owns the two text formats (`exposition`), the names and labels (`agent_families`, `node_families`)
and the few lines of HTTP that serve them (`page`), on the agent's own socket and, if asked, on a
port of the loopback. It only reads what other rooms say of themselves.
"""
