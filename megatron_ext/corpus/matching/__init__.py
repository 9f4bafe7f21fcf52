"""What the ways of `dedup/` share: which copies are preferred, the stages that they run in, how texts are compared."""
