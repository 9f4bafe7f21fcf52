"""Flags of generation."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, option


@flag_group("generation", "Generation")
class GenerationFlags:
    prompt: tuple[str, ...] = flag((), "texts to continue", front=True)
    prompts_file: str | None = flag(
        None, "texts to continue from a file: one a line, or of .jsonl the value of --prompt-key", front=True
    )
    infill: tuple[str, ...] = flag((), "PREFIX SUFFIX: write what stands between, if the model has learnt that", front=True)
    infill_file: str | None = flag(None, "as --infill, for each line of a .jsonl file: its values of prefix and suffix")
    fill_mask: tuple[str, ...] = flag(
        (),
        "texts with [MASK]: the likeliest tokens there, by an encoder; a model that learnt denoising writes them whole",
        front=True,
    )
    sequence_to_sequence: bool = flag(
        False, "an encoder reads the texts as they are, and its decoder writes from its first token on, whatever it learnt"
    )
    prompt_key: str = flag("prompt", "where the text lies in a line of --prompts-file FILE.jsonl")
    output: str | None = flag(
        None, "write JSON lines here, not the texts to the terminal: prompt, text, ids, finish_reason; or masks", front=True
    )
    max_new_tokens: int = flag(100, "tokens to add at most", least=1, front=True)
    num_samples: int | None = flag(
        None, "continuations of each prompt [1]; of an encoder, tokens for each mask [5]", least=1, front=True
    )
    temperature: float = flag(
        0.0, "0 takes the likeliest token; above, tokens are drawn from softmax(logits / temperature)", least=0.0, front=True
    )
    top_k: int = flag(0, "draw from the k likeliest tokens only; 0 from all", least=0)
    top_p: float = flag(1.0, "draw from the likeliest tokens that make up this probability", positive=True, most=1.0)
    repetition_penalty: float = flag(
        1.0, "divides the logits (negative ones: multiplies) of tokens that the text has", positive=True
    )
    stop: tuple[str, ...] = flag((), "end a text before any of these strings")
    ignore_eod: bool = flag(False, "go on after the token that ends a document")
    batch_size: int = flag(8, "texts that go through the model together", least=1)
    seed: int = flag(1234, "of the draws, which depend on it, the prompt's and the sample's number and nothing else", least=0)

    @staticmethod
    def check(c):
        given = [option(name) for name in ("prompt", "prompts_file", "infill", "infill_file", "fill_mask") if getattr(c, name)]
        if not given:
            yield Problem("--prompt", None, "is missing", "give one text or several, --prompts-file, --infill or --fill-mask")
        if len(given) > 1:
            yield Problem(" and ".join(given), None, "contradict each other", "give one")
        if c.infill and len(c.infill) != 2:
            yield Problem("--infill", None, f"takes two texts, and there are {len(c.infill)}", "what stands before, and behind")
        for name in ("infill", "infill_file", "fill_mask"):
            if getattr(c, name) and c.sequence_to_sequence:
                yield Problem(f"{option(name)} and --sequence-to-sequence", None, "contradict each other", "give one")
        if "prompt_key" in c.typed and c.prompts_file is None:
            yield Problem("--prompt-key", c.prompt_key, "has no effect without --prompts-file", "leave it out")
        if c.temperature == 0.0:
            told = [
                ("--top-k", bool(c.top_k)),
                ("--top-p", c.top_p < 1.0),
                ("--num-samples", (c.num_samples or 1) > 1 and not c.fill_mask),
            ]
            words = [option for option, given in told if given]
            if words:
                yield Problem(
                    "--temperature", 0, f"takes the likeliest token, so {', '.join(words)} would do nothing", "set it above 0"
                )
        if "" in c.stop:
            yield Problem("--stop", "''", "is empty, and every text has that", "leave it out")
