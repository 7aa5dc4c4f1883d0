from typing import Any

import pytest

from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "imagenet"}, "a data source is digits, .* or a path that exists; received 'imagenet'"),
        ({"name": "folder:"}, "a data source is"),
        ({"name": "digits:8"}, "a data source is"),
        ({"name": "digits", "image_size": 0}, "image_size"),
        ({"name": "digits", "channels": 4}, "channels"),
        ({"name": "digits", "limit": 0}, "limit"),
        ({"name": "digits", "data_dir": "/tmp"}, "data_dir is for tfds"),
    ],
)
def test_a_source_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Source(**options)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("digits", "digits"),
        ("folder:/data/My Photos (2024)", "My-Photos--2024-"[:-1]),
        ("tfds:imagenet_resized/32x32", "imagenet_resized-32x32"),
        ("folder:/", "data"),
    ],
)
def test_a_short_name_is_fit_for_a_file_name(name: str, short: str) -> None:
    assert Source(name).short_name == short
