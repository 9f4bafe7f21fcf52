"""From raw text to `.bin/.idx`, and from `.bin/.idx` to batches."""
