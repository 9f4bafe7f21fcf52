"""No positions at all: the causal mask alone breaks the symmetry (NoPE, arXiv:2305.19466). `--position-embedding-type none`"""


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "none"}
