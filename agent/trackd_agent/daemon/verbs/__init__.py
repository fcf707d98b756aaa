"""One click command a verb of the command line: options in, tables or JSON out, exit statuses.

Heavy imports come inside the commands, so that `trackd --help` stays quick.
"""
