"""What a run shows: one schema of metrics, to the console, to metrics.jsonl, to TensorBoard."""
