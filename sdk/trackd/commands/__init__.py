"""Verbs of the command line about artifacts and registries, built on `trackd.Api`.

`trackd artifact` and `trackd registry` are groups; their verbs are entry points, loaded when they
are used. All have `--json` and `--base-url`, and the same exit statuses: 0 done, 1 refused (or the
answer is "no": copies differ, a file is damaged), 2 wrong usage, 3 there is no such thing, 4 the
agent or the server does not answer.
"""
