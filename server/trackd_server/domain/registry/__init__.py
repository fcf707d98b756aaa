"""Registries: projects of the organization that hold portfolios only, with rules of their own.

There is one organization; every entity belongs to it. Owns what a registry accepts and who is a
member; links and portfolios are `artifacts`'. Functions work in the caller's transaction.
"""
