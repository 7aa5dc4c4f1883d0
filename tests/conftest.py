"""How the tests are shared out between processes. What they share is in `shared.py`, which imports TensorFlow."""

import os

import pytest

BYTES_A_PROCESS = 4 * 10**9
"""Of the machine's memory, for each of the processes that share the tests."""


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts: one a core, as far as memory suffices."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory // BYTES_A_PROCESS))


LONGEST = (
    "test_examples", "test_start", "test_resume", "test_evidence", "test_export", "test_commands",
    "test_exact_checkpoint", "test_export_of_models", "test_loop", "test_ill_trainings", "test_resnet",
    "test_magnitude_pruning", "test_network", "test_source", "test_repetition", "test_fit_over_devices", "test_batches",
    "test_split_comparison", "test_drop_in",
    "test_diagnosis", "test_loading", "test_evaluate", "test_automatic", "test_check", "test_precision", "test_probe",
    "test_distillation", "test_sources_end_to_end", "test_failures", "test_model_mutations",
)  # fmt: skip
"""The files that take longest come first, so that no process works on one of them at the end while the others wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def pytest_configure(config: pytest.Config) -> None:
    # The process that only shares the tests out needs nothing of it, and the others need not wait for its imports.
    if config.option.dist == "no":
        config.pluginmanager.import_plugin("tests.shared")
