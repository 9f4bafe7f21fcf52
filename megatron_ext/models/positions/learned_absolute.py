"""A learned vector for each position, added to the token's (arXiv:1705.03122; GPT-2, GPT-3).
`--position-embedding-type learned_absolute`
"""


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "learned_absolute"}
