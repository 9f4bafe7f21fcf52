"""Where torch runs: processes and devices, the CPU path of megatron-core, and whose kernels do what."""
