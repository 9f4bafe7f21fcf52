"""Activations of the MLP, one file each; a file offers `FUNCTION` and `GATED`.

Plain: fc2(FUNCTION(fc1(x))). Gated (arXiv:2002.05202): fc1 is twice as wide, and fc2(FUNCTION(gate) · up).
"""
