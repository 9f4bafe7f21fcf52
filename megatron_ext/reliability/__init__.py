"""What keeps a long run alive: signals that ask it to stop."""
