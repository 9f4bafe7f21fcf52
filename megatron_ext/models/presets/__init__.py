"""Published models, one file a family. A file offers `PRESETS`: by model, flags by field name, below YAML and flags in rank.

They describe how the model was pre-trained, before any extension of its context. What was not published is left out, and our
defaults hold. Where a paper's batch grows, the preset has the last size; the docstring says how to let it grow. A learning
rate that ends at a tenth of its peak needs no `min_lr`: that is the default.

docs/presets.md, written by tools/presets_page.py, shows them side by side with their published numbers of parameters.
"""
