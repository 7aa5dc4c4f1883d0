"""What may be said of how a network becomes integers, for option parsers that import nothing else."""

RANGES = ("minmax", "percentile", "mse", "octav")
ENGINES = ("tensorflow", "litert-quantizer")
TYPES = ("int8", "uint8")
WIDE = ("int16", "float")
