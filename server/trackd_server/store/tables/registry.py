"""Tables of registries: what a registry project accepts, and who may see it."""
