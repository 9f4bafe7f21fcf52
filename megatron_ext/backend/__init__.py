"""Where torch runs: processes and devices, the CPU path of megatron-core, and whose kernels do what."""

import warnings

# At import megatron-core warns of every optional package that is not there; backend/kernels.py tells which are.
warnings.filterwarnings("ignore", module=r"megatron\.core")
# It calls collectives by names that newer versions of torch warn of, in every process.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
