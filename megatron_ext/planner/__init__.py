"""What a configuration costs: parameters, FLOPs."""
