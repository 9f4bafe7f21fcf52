"""Several `.bin/.idx` pairs to one."""
