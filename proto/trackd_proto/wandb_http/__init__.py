"""Names of the W&B HTTP protocol shared by the agent (client) and the server.

Owns names only: stream files, headers, operation texts. No behaviour.
"""
