"""One digest for the names and shapes of a whole network."""

import hashlib


def digest(shapes: dict[str, list[int]]) -> str:
    """SHA-256 of the sorted lines `name [shape]`."""
    return hashlib.sha256("\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items())).encode()).hexdigest()
