"""Raw text to clean text: readers, filters, deduplication, and the one native module for hot loops."""
