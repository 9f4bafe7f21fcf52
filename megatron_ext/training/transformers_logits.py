"""A program: the logits of a Hugging Face folder on batches of tokens, by transformers, in fp32 (agreement.py starts it).

python transformers_logits.py FOLDER TOKENS.safetensors LOGITS.safetensors
"""

from __future__ import annotations

import sys

import torch
import transformers
from packaging.version import parse
from safetensors.torch import load_file, save_file

_TWICE = ("falcon",)  # whose eager attention adds ALiBi's bias twice (transformers 5.23): in the mask, and to the scores


@torch.no_grad()
def main(folder: str, tokens: str, logits: str) -> None:
    kind = transformers.AutoConfig.from_pretrained(folder).model_type
    attention = "sdpa" if kind in _TWICE else "eager"
    dtype = {"dtype" if parse(transformers.__version__) >= parse("4.56") else "torch_dtype": torch.float32}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention, **dtype).eval()
    save_file({number: model(ids, use_cache=False).logits.contiguous() for number, ids in load_file(tokens).items()}, logits)


if __name__ == "__main__":
    main(*sys.argv[1:])
