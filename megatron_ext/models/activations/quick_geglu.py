"""Quick GEGLU: quick_gelu(gate) · up (no paper: Megatron-LM's `--quick-geglu`). `--activation quick_geglu`"""

from megatron_ext.models.activations import quick_gelu

FUNCTION = quick_gelu.FUNCTION
GATED = True
