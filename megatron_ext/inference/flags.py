"""Flags of generation."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("generation", "Generation")
class GenerationFlags:
    load: str | None = flag(None, "the run's folder, or one checkpoint in it", front=True)
    prompt: tuple[str, ...] = flag((), "texts to continue", front=True)
    max_new_tokens: int = flag(100, "tokens to add at most; the end-of-document token ends a text earlier", least=1, front=True)
    temperature: float = flag(
        0.0, "0 takes the likeliest token; above, tokens are drawn from softmax(logits / temperature)", least=0.0, front=True
    )
    top_k: int = flag(0, "draw from the k likeliest tokens only; 0 from all", least=0)
    top_p: float = flag(1.0, "draw from the likeliest tokens that make up this probability", positive=True, most=1.0)
    seed: int = flag(1234, "of the draws", least=0)
    device: str = flag("auto", "where the model runs", choices=("auto", "cpu", "cuda"))

    @staticmethod
    def check(c):
        if c.load is None:
            yield Problem("--load", None, "is missing", "give the folder that training saved to")
        if not c.prompt:
            yield Problem("--prompt", None, "is missing", "give one text or several")
        if c.temperature == 0.0 and (c.top_k or c.top_p < 1.0):
            yield Problem(
                "--temperature", 0, "takes the likeliest token, so --top-k and --top-p have no effect", "set it above 0"
            )
