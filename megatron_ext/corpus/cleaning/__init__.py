"""One document after another through the rules that were asked for, and the tally of what became of them."""
