"""Lists that stay fast when they are long: filters and orders become SQL, pages go on at a key.

Knows columns, not what they mean; `artifacts` and `registry` say which fields a list has.
"""
