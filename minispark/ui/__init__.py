"""What a person watches: progress and summaries."""
