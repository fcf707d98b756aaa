"""Composition, lifecycle and command line of the server. Imported by nothing else."""
