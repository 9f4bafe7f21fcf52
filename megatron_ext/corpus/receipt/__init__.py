"""What a person sees of a cleaned corpus: one HTML page that needs nothing else, and the same as JSON."""
