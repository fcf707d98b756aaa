"""GraphQL operations of `trackd.Api`: shapes as `wandb` 0.31 sends them.

One module a subject. Fragments about artifacts come from `trackd.remote.operations`.
"""
