"""Models: flags → TransformerConfig → ModuleSpec → model."""
