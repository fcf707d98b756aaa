"""`Run` and what its methods do: facts, summary, metrics, alerts, watched models."""
