"""`trackd doctor`: is everything here that a run needs, and which settings are in force.

Reads only: starts nothing and changes nothing.
"""
