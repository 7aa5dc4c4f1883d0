from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.weights import hdf5
from keras_resnet.weights.files import read_weights
from keras_resnet.weights.hdf5 import names_in, numbers_at, open_hdf5

SECRET = Path(__file__)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def looping(file: h5py.File) -> None:
    file["a/b"] = [1.0]
    file["a/loop"] = file["a"]


def deep(file: h5py.File) -> None:
    group: h5py.Group = file
    for _ in range(101):
        group = group.create_group("a")


def repeated(file: h5py.File) -> None:
    file["x"] = [1.0]
    file["y"] = file["x"]


HOSTILE: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "external storage": (
        lambda file: file.create_dataset("x", (10,), "u1", external=[(str(SECRET), 0, 10)]),
        "numbers of /x are in another file",
    ),
    "virtual data": (virtual, "numbers of /x are in another file"),
    "an external link": (lambda file: file.__setitem__("x", h5py.ExternalLink("other.h5", "/x")), "/x is a link"),
    "a soft link to itself": (lambda file: file.__setitem__("x", h5py.SoftLink("/x")), "/x is a link"),
    "a group inside itself": (looping, "/a/loop is a second name of another object"),
    "one dataset twice": (repeated, "is a second name of another object"),
    "a user's filter": (
        lambda file: file.create_dataset("x", data=np.zeros(100), compression="lzf"),
        r"/x is compressed by a filter \(number 32000\)",
    ),
    "gigabytes that are not there": (
        lambda file: file.create_dataset("x", (1 << 31,), "f4"),
        "/x declares 8,589,934,592 bytes, of which 0 are in the file",
    ),
    "gigabytes in pieces": (
        lambda file: file.create_dataset("x", (1 << 20, 1 << 12), "f4", chunks=(64, 64), compression="gzip"),
        "/x declares 17,179,869,184 bytes",
    ),
    "nothing": (lambda file: file.create_dataset("x", data=h5py.Empty("f4")), "/x holds nothing"),
    "texts": (lambda file: file.create_dataset("x", data=["a"]), "/x is of the type object; expected numbers"),
    "references": (
        lambda file: file.create_dataset("x", data=np.array([file.ref], dtype=h5py.ref_dtype)),
        "expected numbers",
    ),
    "compounds": (lambda file: file.create_dataset("x", data=np.zeros(2, [("a", "f4")])), "expected numbers"),
    "a named type": (lambda file: file.__setitem__("x", np.dtype("f4")), "/x is neither a group nor numbers"),
    "a hundred groups": (deep, "more than 100 deep"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_weights_never_are_is_refused_before_it_is_read(kind: str, tmp_path: Path) -> None:
    make, message = HOSTILE[kind]
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        make(file)

    with (
        pytest.raises(ModelError, match=rf"hostile\.h5 is refused: .*{message}"),
        open_hdf5(tmp_path / "hostile.h5", "hostile.h5"),
    ):
        pass


def test_plain_numbers_are_read_compressed_or_not(tmp_path: Path) -> None:
    values = np.arange(60_000, dtype=np.float32).reshape(300, 200)
    with h5py.File(tmp_path / "fine.h5", "w") as file:
        file["group/plain"] = values
        file.create_dataset("packed", data=values * 0, compression="gzip", shuffle=True, fletcher32=True)
        file["number"], file["empty"] = 3, np.zeros((0, 4))
        file.attrs["none"] = np.zeros(0)

    with open_hdf5(tmp_path / "fine.h5", "fine.h5") as file:
        np.testing.assert_array_equal(numbers_at(file, "group/plain"), values)
        np.testing.assert_array_equal(numbers_at(file, "packed"), values * 0)
        assert numbers_at(file, "number") == 3


def test_what_the_block_raises_for_damage_is_one_error(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "fine.h5", "w") as file:
        file.create_group("group").attrs["names"] = 3

    for read in (lambda file: names_in(file["group"], "names"), lambda file: numbers_at(file, "group")):
        with (
            pytest.raises(ModelError, match=r"fine\.h5 cannot be read .*expected"),
            open_hdf5(tmp_path / "fine.h5", "fine.h5") as file,
        ):
            read(file)


@pytest.mark.parametrize("odd", [3, b"\xff", np.zeros((2, 2)), h5py.Empty("f4"), [[b"a"]]])
def test_names_of_another_type_are_one_error(odd: object, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = odd

    with pytest.raises(ModelError, match=r"net\.h5 cannot be read as weights that Keras 2 wrote"):
        read_weights(tmp_path / "net.h5")


def test_no_file_of_the_machine_is_read_as_weights(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0"]
        group.create_dataset("dense/kernel:0", (10,), "u1", external=[(str(SECRET), 0, 10)])

    with pytest.raises(ModelError, match="the numbers of /dense/dense/kernel:0 are in another file"):
        read_weights(tmp_path / "net.h5")


def test_texts_that_hdf5_does_not_come_to_an_end_of_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a damaged heap HDF5 may search without end. Here the reading of attributes is what does not end."""
    monkeypatch.setattr(hdf5, "SECONDS", 1)
    monkeypatch.setattr(hdf5, "READ_ATTRIBUTES", "while True: pass")
    for name, names in (("any.h5", ["one", "two"]), ("fixed.h5", np.array([b"one", b"two"]))):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["layer_names"] = names

    with (
        pytest.raises(ModelError, match=r"any\.h5 is refused: HDF5 does not come to an end of its texts in 1 seconds"),
        open_hdf5(tmp_path / "any.h5", "any.h5"),
    ):
        pytest.fail("opened")
    with open_hdf5(tmp_path / "fixed.h5", "fixed.h5") as file:
        assert names_in(file, "layer_names") == ["one", "two"], "texts of one length lie where they are named"
