import http.server
import socket
import threading
import time
from pathlib import Path

import pytest

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.weights import at_hand as module
from keras_resnet.weights import pretrained as fetching
from keras_resnet.weights.at_hand import AtHand, at_hand, network_called
from keras_resnet.weights.pretrained import answers, cached, fetch

MODELS = ("resnet50", "resnet50v1", "resnet18")


@pytest.fixture(autouse=True)
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, file: None)


def test_files_of_a_folder_are_found_by_the_network_that_they_are_called_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("resnet18.a1_in1k.safetensors", "resnet50v1_caffe.h5", "readme.txt", "resnet50.pth", "vgg16.h5")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setenv(module.FOLDER, str(tmp_path))
    monkeypatch.setattr(module, "find_spec", lambda name: None)

    place = f"in {tmp_path}"
    v1, small = str(tmp_path / names[1]), str(tmp_path / names[0])
    assert at_hand(MODELS) == [AtHand("resnet50v1", v1, place), AtHand("resnet18", small, place)]
    assert [one.model for one in at_hand(("resnet18", "resnet50v1"))] == ["resnet18", "resnet50v1"]

    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert at_hand(MODELS)[0].model == "resnet50", "with PyTorch its files can be read"


def test_what_was_fetched_before_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(module.FOLDER, raising=False)
    assert at_hand(MODELS) == []

    asked = []

    def lookup(repository: str, file: str) -> str | None:
        asked.append((repository, file))
        return "/somewhere" if repository == "timm/resnet18.a1_in1k" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lookup)
    file = tmp_path / "keras" / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")

    found = at_hand(MODELS)
    assert [(one.model, one.weights) for one in found] == [("resnet50v1", "keras"), ("resnet18", "timm/a1_in1k")]
    assert ("timm/resnet50.a1_in1k", "model.safetensors") in asked
    assert cached("resnet50v1", "keras") == file


def test_a_folder_that_there_is_not_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.FOLDER, str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"KERAS_RESNET_WEIGHTS names .*none, which is no folder"):
        at_hand(MODELS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50.a1_in1k.safetensors", "resnet50"),
        ("ResNet50-0676ba61.pth", "resnet50"),
        ("resnet50v1.h5", "resnet50v1"),
        ("resnet500.h5", None),
        ("my-resnet50.h5", None),
        ("resnet18", "resnet18"),
    ],
)
def test_the_network_is_the_beginning_of_the_name(name: str, expected: str | None) -> None:
    assert network_called(name, MODELS) == expected


def test_an_address_that_says_nothing_is_given_up_in_time() -> None:
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.2)
        assert time.monotonic() - began < 1.5
        port = silent.getsockname()[1]
    assert not answers(f"http://127.0.0.1:{port}", seconds=5), "refused at once"


def test_an_address_that_refuses_is_reached() -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert answers(f"http://127.0.0.1:{server.server_address[1]}", seconds=5)


def test_without_a_network_nothing_is_fetched_and_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "answers", lambda url: False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: pytest.fail("it would try for 23 seconds"))
    with pytest.raises(ModelError, match=r"\(huggingface\.co does not answer\)\. Fetch https://huggingface\.co/timm/"):
        fetch("resnet18", "imagenet")
