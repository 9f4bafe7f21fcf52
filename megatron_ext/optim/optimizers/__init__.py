"""Update rules, one file each; a file offers `settings(flags)`: the fields of megatron-core's OptimizerConfig."""
