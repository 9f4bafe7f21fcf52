"""The logits of folders by transformers 4.57, in a process of its own (test_transformers_4.py).

PYTHONPATH=FOLDER_OF_THAT_VERSION python transformers_4.py TOKENS.safetensors LOGITS.safetensors FOLDER …
"""

from __future__ import annotations

import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

assert transformers.__version__.startswith("4.57."), transformers.__version__
tokens, logits, *folders = sys.argv[1:]
ids = load_file(tokens)["tokens"]
found = {}
with torch.no_grad():
    for folder in folders:
        kind = transformers.AutoConfig.from_pretrained(folder).model_type
        attention = "sdpa" if kind == "falcon" else "eager"  # whose eager attention adds ALiBi's bias twice
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention).eval()
        found[folder] = model(ids).logits.contiguous()
save_file(found, logits)
