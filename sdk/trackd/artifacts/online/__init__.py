"""Artifacts and their server: what it says, saves on their way, changes, links, reading back.

Functions over `Artifact`, whose methods call them; loaded when one is first needed. Servers are
asked through `trackd.remote`, files come through the agent, references in this process.
"""
