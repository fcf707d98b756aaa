"""What the records of one writer mean: rows, summary, metrics and configuration."""
