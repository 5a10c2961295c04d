"""What is written where a user says: files and folders, whole, and never over anything else."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_app.disk import refuse_unwritable, whole_folder, write_whole
from rag_app.errors import PairsError, StorageError
from rag_app.pairs import refuse_output, write_pairs


def make_fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_device(path: Path) -> Path:
    """A device as /dev/full is one."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("only root makes devices")
    return path


def make_link(path: Path) -> Path:
    path.symlink_to(make_fifo(path.with_name("pipe")))
    return path


ODD = (make_fifo, make_device, make_link)


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", ["out", "out.jsonl", "out.csv", "out.json"])
def test_a_device_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], Path], name: str
) -> None:
    odd = make(tmp_path / name)
    before = (odd.lstat().st_mode, sorted(tmp_path.iterdir()))
    with pytest.raises(StorageError, match=r"out\S* cannot be written: a device, a pipe or a sock"):
        refuse_output(odd)
    with pytest.raises(StorageError, match="a device, a pipe or a socket is there"):
        write_pairs(odd, [], [])
    with pytest.raises(StorageError, match="a device, a pipe or a socket is there"):
        write_whole(odd, "text")
    with pytest.raises(StorageError, match="is there; name"), whole_folder(odd) as folder:
        folder.mkdir()
    assert (odd.lstat().st_mode, sorted(tmp_path.iterdir())) == before


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    file.write_text("mine", "utf-8")
    folder.mkdir()
    with pytest.raises(StorageError, match=r"a\.jsonl cannot be written: a file is there"):
        refuse_unwritable(file, is_folder=True)
    with pytest.raises(StorageError, match=r"b\.jsonl cannot be written: a folder is there"):
        refuse_unwritable(folder, is_folder=False)
    refuse_unwritable(file, is_folder=False)
    refuse_unwritable(folder, is_folder=True)
    with pytest.raises(StorageError, match="a folder is there"):
        write_whole(folder, "text")
    assert file.read_text("utf-8") == "mine"


def test_a_folder_that_is_missing_is_made_only_where_that_is_meant(tmp_path: Path) -> None:
    missing = tmp_path / "nope" / "deeper"
    with pytest.raises(StorageError, match=rf"there is no folder {missing}; make it \(mkdir -p"):
        refuse_unwritable(missing / "x.jsonl", is_folder=False)
    refuse_unwritable(missing / "results", is_folder=True, make_parents=True)
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StorageError, match="Not a directory"):
        refuse_unwritable(tmp_path / "file" / "results", is_folder=True, make_parents=True)
    with pytest.raises(StorageError, match="File name too long"):
        refuse_unwritable(tmp_path / ("x" * 300), is_folder=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_where_nobody_can_write_is_known_before(tmp_path: Path) -> None:
    place = Path("/proc")
    if not place.is_dir():
        pytest.skip("no /proc")
    with pytest.raises(StorageError, match=r"/proc/x\.jsonl cannot be written: "):
        refuse_unwritable(place / "x.jsonl", is_folder=False)


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "settings.toml"
    target.write_text("old", "utf-8")
    (tmp_path / "settings.toml").symlink_to(target)
    write_whole(tmp_path / "settings.toml", "new")
    assert (tmp_path / "settings.toml").is_symlink()
    assert target.read_text("utf-8") == "new"


def test_a_folder_of_the_users_is_not_taken_for_a_half_written_one(tmp_path: Path) -> None:
    mine = tmp_path / "beir.partial" / "thesis.md"
    mine.parent.mkdir()
    mine.write_text("ten years of work", "utf-8")
    write_pairs(tmp_path / "beir", [], [])
    assert mine.read_text("utf-8") == "ten years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beir", "beir.partial"]


def test_a_folder_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    for text in ("one", "two"):
        with whole_folder(folder) as new:
            new.mkdir()
            (new / "a").write_text(text, "utf-8")
    with pytest.raises(FileNotFoundError), whole_folder(folder):
        (tmp_path / "what the block fails at").read_text("utf-8")
    assert (folder / "a").read_text("utf-8") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_format_that_is_unknown_or_a_strangers_folder_is_known_before(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match=r"'\.parquet' is unknown"):
        refuse_output(tmp_path / "x.parquet")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.md").write_text("x", "utf-8")
    with pytest.raises(PairsError, match=r"holds thesis\.md"):
        refuse_output(tmp_path / "mine")
