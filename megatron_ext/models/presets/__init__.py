"""Published models, one file each; a file offers `PRESET`: flags by field name, below YAML and command line in rank."""
