"""What is in a `.bin/.idx` pair, and whether it is whole."""
