"""Files of a run other than media: saved and restored ones, and those that tell where it came from.

Owns: `save` and `restore`, the description of process and machine, git state, code, patches and
the list of packages. Knows nothing of agent and server but the address a file comes back from.
"""
