"""What every room of the agent uses: errors, clock, names, bounded queues, logging set-up.

Owns no state and starts nothing. Must not know any other room; everybody may import it.
"""
