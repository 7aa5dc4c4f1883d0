"""What a result may depend on besides its configuration."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from keras_resnet._version import __version__


def versions_and_machine() -> dict[str, Any]:
    """Versions of the packages that compute, and the machine."""
    packages = ("tensorflow", "keras", "numpy", "scikit-learn", "pillow", "ai-edge-litert")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "keras-resnet-kit": __version__,
        "python": platform.python_version(),
        **versions,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }
