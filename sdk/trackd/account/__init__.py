"""Servers and the keys for them: `trackd.login`, the verb `trackd login`, the file of keys.

Keys lie in one file of this user (mode 0600) and are never shown nor given on a command line.
"""
