from pathlib import Path

import pytest

from keras_resnet.data.sources.folder import list_folder
from keras_resnet.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"content is not read here")
    return root


def test_images_are_found_in_any_depth_case_and_script(tmp_path: Path) -> None:
    root = touch(tmp_path, "cat/a.JPG", "cat/deep/er/b.Png", "犬/ç.webp", "犬/x y.tiff")

    found = list_folder(root)

    assert found.class_names == ("cat", "犬")
    assert found.names == ("cat/a.JPG", "cat/deep/er/b.Png", "犬/x y.tiff", "犬/ç.webp")
    assert found.labels.tolist() == [0, 0, 1, 1]


def test_hidden_files_and_folders_are_passed_over_and_other_files_counted(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "cat/a.jpg", "cat/._a.jpg", "cat/.cache/b.jpg", "cat/notes.txt", "dog/a.jpg", ".git/x.jpg", "x.jpg"
    )

    found = list_folder(root)

    assert found.names == ("cat/a.jpg", "dog/a.jpg")
    assert found.notes == (
        "1 images that lie in no class folder were left out",
        "1 files without an extension of images were left out",
    )


def test_links_are_followed_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "cat/a.jpg", "dog/a.jpg")
    touch(tmp_path / "elsewhere", "b.jpg")
    (root / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "circle").symlink_to(root / "cat")

    assert list_folder(root).names == ("cat/a.jpg", "cat/more/b.jpg", "dog/a.jpg")


def test_folders_called_train_and_test_keep_their_separation(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "Test/cat/c.jpg", "valid/dog/d.jpg")

    found = list_folder(root)

    assert found.class_names == ("cat", "dog")
    split = {name: [found.names[i] for i in positions] for name, positions in found.given.items()}
    assert split == {
        "train": ["train/cat/a.jpg", "train/dog/b.jpg"],
        "validation": ["valid/dog/d.jpg"],
        "test": ["Test/cat/c.jpg"],
    }


def test_classes_called_train_and_station_are_classes(tmp_path: Path) -> None:
    found = list_folder(touch(tmp_path, "train/a.jpg", "station/b.jpg"))

    assert found.class_names == ("station", "train")
    assert not found.given


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds no images; expected one sub-folder"),
        (("a.jpg", "b.jpg"), "holds 2 images but no sub-folders"),
        (("cat/a.jpg",), "there is only one class, 'cat'"),
        (("cat/a.jpg", "dog/readme.txt"), "the class folder 'dog' holds no image"),
        (("cat/a.txt",), "no images"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_folder(touch(tmp_path, *files))


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        list_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file"):
        list_folder(touch(tmp_path, "a.jpg") / "a.jpg")


def test_splits_beside_other_folders_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/cat/a.jpg", "val/cat/b.jpg", "extra/c.jpg")

    with pytest.raises(DataError, match="holds the splits 'train', 'val' and also 'extra'"):
        list_folder(root)


def test_a_class_name_that_is_no_unicode_is_refused_before_the_training(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.jpg", "caf\udce9/b.jpg")

    with pytest.raises(DataError, match=r"class folder 'caf\\udce9' has a name that cannot be written"):
        list_folder(tmp_path)


def test_joiners_and_wide_spaces_are_fine_in_a_class_name(tmp_path: Path) -> None:
    names = ("می\u200cخواهم", "赤\u3000犬")

    assert set(list_folder(touch(tmp_path, *(f"{name}/a.jpg" for name in names))).class_names) == set(names)
