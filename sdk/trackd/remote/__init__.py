"""A server as this process reaches it: GraphQL operations that the agent sends on.

The agent holds connections, keys, proxies and retries; nothing here opens a connection to a
server. `operations` has the texts, `connection` sends them. Artifacts and `trackd.Api` are built
on it; it knows neither.
"""
