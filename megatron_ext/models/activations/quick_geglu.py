"""Quick GEGLU: quick_gelu(gate) · up. `--activation quick_geglu`, Megatron-LM's `--quick-geglu`"""

from megatron_ext.models.activations import quick_gelu

FUNCTION = quick_gelu.FUNCTION
GATED = True
