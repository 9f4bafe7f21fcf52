"""Hugging Face's folders (config.json, *.safetensors, a tokenizer) in and out, whatever the family: `checkpoint/huggingface/`."""
