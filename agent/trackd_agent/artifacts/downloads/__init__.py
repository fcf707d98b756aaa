"""Files of artifact versions, from a server to a folder.

Owns reading manifests in bounded memory, deciding which file comes from where (it is there
already, the cache, the server's own disk, the network), writing below a folder and nowhere else,
and comparing digests. Must not know protobuf or how versions are made. Called by `rpc`.
"""
