import inspect
import subprocess
import sys

import pytest

import keras_resnet

COMMON = "import sys; heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib'}\n"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["demo", "--help"],
        ["models"],
        ["recipes"],
        ["recipes", "imagenet-a1"],
    ],
)
def test_help_version_and_the_lists_of_networks_and_recipes_do_not_import_tensorflow(arguments: list[str]) -> None:
    # A fresh process: in this one TensorFlow is imported already.
    found = run_python(
        COMMON + f"from keras_resnet.cli import main; code = main({arguments!r}); print(code, heavy & set(sys.modules))"
    )

    assert found.stdout.splitlines()[-1] == "0 set()", found.stderr


def test_printing_the_settings_does_not_import_tensorflow() -> None:
    found = run_python(
        COMMON + "from keras_resnet.cli import main\n"
        "print(main(['train', 'digits', '--print-config']), {'tensorflow', 'keras'} & set(sys.modules))"
    )

    assert found.stdout.splitlines()[-1] == "0 set()", found.stderr
    assert found.stdout.startswith("recipe: digits ")


def test_what_a_source_is_can_be_known_without_importing_anything_heavy() -> None:
    found = run_python(
        "import sys, keras_resnet.data.sources.source\n"
        "print({'tensorflow', 'keras', 'numpy', 'PIL', 'sklearn'} & set(sys.modules))"
    )

    assert found.stdout == "set()\n", found.stderr


def test_the_networks_of_keras_applications_are_found_without_importing_keras() -> None:
    found = run_python(
        COMMON + "import keras_resnet\n"
        "from keras_resnet.applications.resnet50 import ResNet50, preprocess_input, decode_predictions\n"
        "from keras_resnet.applications import ResNet50V2, resnet_v2\n"
        "print(keras_resnet.applications.ResNet50 is ResNet50, heavy & set(sys.modules))"
    )

    assert found.stdout == "True set()\n", found.stderr


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert {"ResNet50", "build", "fit", "evaluate", "predict", "export_tflite", "list_models"} <= set(
        keras_resnet.__all__
    )
    for name in keras_resnet.__all__:
        documented = getattr(keras_resnet, name)

        assert inspect.getdoc(documented), name


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert keras_resnet.__version__ == version("keras-resnet-kit")
