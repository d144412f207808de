from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from otagate.bundle.collect import SHOWN_PER_REASON, collect, survey
from otagate.errors import AccessError, BundleError
from otagate.policy.model.bundles import BundleSpec

_SPEC = BundleSpec()


@pytest.fixture
def web(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<script src="assets/app.js"></script>')
    (folder / "assets" / "app.js").write_text("CapacitorUpdater.notifyAppReady()")
    return folder


def _put(folder: Path, *paths: str, data: bytes = b"x") -> None:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _paths(folder: Path, spec: BundleSpec = _SPEC) -> list[str]:
    return [file.path for file in collect(folder, spec)]


def _problems(folder: Path, spec: BundleSpec = _SPEC) -> tuple[str, ...]:
    with pytest.raises(BundleError) as caught:
        collect(folder, spec)
    assert caught.value.subject == str(folder)
    assert caught.value.remedy
    return caught.value.details


def test_files_come_sorted_by_the_bytes_of_their_paths_with_what_was_seen_of_them(web: Path) -> None:
    _put(web, "z.txt", "a-b/c", "a/b", "ü.txt", "Z.css", "empty.txt", data=b"")
    files = collect(web, _SPEC)
    assert [file.path for file in files] == [
        "Z.css", "a-b/c", "a/b", "assets/app.js", "empty.txt", "index.html", "z.txt", "ü.txt",
    ]  # fmt: skip
    status = (web / "index.html").lstat()
    index = files[5]
    assert (index.source, index.size) == (web / "index.html", status.st_size)
    assert (index.device, index.inode, index.mtime_ns) == (status.st_dev, status.st_ino, status.st_mtime_ns)


def test_a_folder_that_is_itself_a_link_is_fine(web: Path, tmp_path: Path) -> None:
    (tmp_path / "www").symlink_to(web)
    assert _paths(tmp_path / "www") == ["assets/app.js", "index.html"]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_folder(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "dist"
    if kind == "file":
        folder.write_text("x")
    with pytest.raises(BundleError) as caught:
        collect(folder, _SPEC)
    assert caught.value.subject == str(folder)
    assert "build.output" in (caught.value.remedy or "")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert _problems(tmp_path) == ("the folder has no files",)


def test_no_index_at_the_root(web: Path) -> None:
    (web / "index.html").rename(web / "assets" / "index.html")
    assert _problems(web) == ("there is no index.html at the root of the folder",)


def test_an_empty_index(web: Path) -> None:
    (web / "index.html").write_text("")
    assert _problems(web) == ("index.html: it is empty",)


def test_nothing_that_tells_the_plugin_that_the_app_is_ready(web: Path) -> None:
    _put(web, "assets/app.js")
    (line,) = _problems(web)
    assert "notifyAppReady" in line
    assert _paths(web, replace(_SPEC, require_notify_app_ready=False))


def test_all_problems_are_told_at_once(web: Path) -> None:
    _put(web, ".env", "a.js.map", "con.js", "App.css", "app.css")
    _put(web, "big.bin", data=b"x" * 50)
    (web / "gone").symlink_to("nowhere")
    (web / "index.html").unlink()
    lines = _problems(web, replace(_SPEC, max_file_size=40))
    assert len(lines) == 7
    text = "\n".join(lines)
    for word in (".env: ", "a.js.map: ", "con.js: ", "phones may take it for App.css", "big.bin: ", "gone: ", "no index.html"):
        assert word in text


def test_many_problems_of_one_kind_are_counted(web: Path) -> None:
    _put(web, *(f"{number}.map" for number in range(SHOWN_PER_REASON + 7)))
    lines = _problems(web)
    assert len(lines) == SHOWN_PER_REASON + 1
    assert lines[-1].startswith("… and 7 more: it is a source map")


def test_names_are_harmless_in_messages(web: Path) -> None:
    _put(web, "a\x1b[31m\n::set-output")
    (line,) = _problems(web)
    assert line.startswith("a\\x1b[31m\\x0a::set-output: ")


def test_a_name_that_is_not_utf8(web: Path) -> None:
    os.close(os.open(os.fsencode(web) + b"/caf\xe9.txt", os.O_CREAT))
    assert _problems(web) == ("caf\\xe9.txt: the name is not UTF-8",)


def test_names_become_nfc_and_twins_of_another_form_are_refused(web: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "é.txt")
    _put(web, decomposed)
    assert "é.txt" in _paths(web)
    _put(web, "é.txt")
    assert _problems(web) == ("é.txt: two files have this name",)


@pytest.mark.parametrize("path", ["deep/" * 33 + "x", "n" * 200 + "/" + "m" * 60, "a\\b", "x /y"])
def test_names_that_phones_cannot_have(web: Path, path: str) -> None:
    _put(web, path)
    assert len(_problems(web)) == 1


def test_clutter_is_left_out_and_told(web: Path) -> None:
    _put(web, ".DS_Store", "assets/Thumbs.db", "__MACOSX/x", "a.js~")
    collection = survey(web, _SPEC)
    assert collection.left_out == (".DS_Store", "__MACOSX/", "a.js~", "assets/Thumbs.db")
    assert [file.path for file in collection.files] == ["assets/app.js", "index.html"]
    assert ".DS_Store" in _paths(web, replace(_SPEC, allow=(".DS_Store",)))


def test_excluded_files_and_folders_are_left_out_before_they_can_be_a_problem(web: Path) -> None:
    _put(web, ".env", "assets/a.map", "node_modules/x/con.js")
    (web / "gone").symlink_to("nowhere")
    collection = survey(web, replace(_SPEC, exclude=("*.map", ".env", "node_modules", "gone")))
    assert collection.left_out == (".env", "assets/a.map", "gone", "node_modules/")


def test_allowed_files_pass_the_rules_for_secrets(web: Path) -> None:
    _put(web, "node_modules/x/a.js", "node_modules/y/a.js", "pub/server.pem", "a.map", data=b"-----BEGIN PRIVATE KEY-----")
    _put(web, ".git/HEAD")
    assert len(_problems(web)) == 4
    spec = replace(_SPEC, allow=("node_modules/x", "pub/*.pem", "*.map"))
    assert {line.partition(":")[0] for line in _problems(web, spec)} == {"node_modules/y/a.js", ".git/HEAD"}
    spec = replace(spec, exclude=(".git", "node_modules/y"))
    assert _paths(web, spec) == ["a.map", "assets/app.js", "index.html", "node_modules/x/a.js", "pub/server.pem"]


def test_allow_does_not_lift_the_rules_for_names(web: Path) -> None:
    _put(web, "aux.js")
    assert _problems(web, replace(_SPEC, allow=("*",)))


def test_source_maps_can_be_shipped(web: Path) -> None:
    _put(web, "a.js.map")
    assert "a.js.map" in _paths(web, replace(_SPEC, source_maps=True))


def test_contents_are_looked_at(web: Path) -> None:
    _put(web, "readme.txt", data=b"-----BEGIN RSA PRIVATE KEY-----")
    assert _problems(web) == ("readme.txt: it is a private key",)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (replace(_SPEC, max_files=1), "more than 1 files"),
        (replace(_SPEC, max_size=40), "more than bundle.max_size"),
        (replace(_SPEC, max_file_size=35), "more than bundle.max_file_size"),
    ],
)
def test_caps(web: Path, spec: BundleSpec, word: str) -> None:
    assert word in "\n".join(_problems(web, spec))


def test_exactly_at_the_caps_is_fine(web: Path) -> None:
    sizes = [file.size for file in collect(web, _SPEC)]
    spec = replace(_SPEC, max_files=2, max_size=sum(sizes), max_file_size=max(sizes))
    assert len(collect(web, spec)) == 2


def test_a_link_to_a_file_inside_is_packed_as_that_file(web: Path) -> None:
    (web / "assets" / "copy.js").symlink_to("app.js")
    (web / "again.js").symlink_to(web / "assets" / "copy.js")
    files = {file.path: file for file in collect(web, _SPEC)}
    assert files["again.js"].source == files["assets/copy.js"].source == web / "assets" / "app.js"
    assert files["again.js"].size == files["assets/app.js"].size


def _outside(web: Path) -> None:
    (web.parent / "secret").write_text("x")
    (web / "link").symlink_to("../secret")


def _outside_absolute(web: Path) -> None:
    (web / "link").symlink_to("/etc/hostname")


def _sibling_with_the_same_beginning(web: Path) -> None:
    _put(web.parent / "dist2", "a")
    (web / "link").symlink_to("../dist2/a")


def _through_a_folder_link(web: Path) -> None:
    (web.parent / "up").symlink_to("/etc")
    (web / "link").symlink_to("../up/hostname")


def _dangling(web: Path) -> None:
    (web / "link").symlink_to("nothing")


def _below_a_file(web: Path) -> None:
    (web / "link").symlink_to("index.html/x")


def _circle(web: Path) -> None:
    (web / "link").symlink_to("link")


def _folder(web: Path) -> None:
    (web / "link").symlink_to("assets")


def _itself(web: Path) -> None:
    (web / "link").symlink_to(".")


def _pipe(web: Path) -> None:
    os.mkfifo(web / "link")


def _link_to_pipe(web: Path) -> None:
    os.mkfifo(web / "Thumbs.db")
    (web / "link").symlink_to("Thumbs.db")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (_outside, "out of the folder"),
        (_outside_absolute, "out of the folder"),
        (_sibling_with_the_same_beginning, "out of the folder"),
        (_through_a_folder_link, "out of the folder"),
        (_dangling, "to nothing"),
        (_below_a_file, "to nothing"),
        (_circle, "circle"),
        (_folder, "to a folder"),
        (_itself, "to a folder"),
        (_pipe, "not a regular file"),
        (_link_to_pipe, "not a regular file"),
    ],
)
def test_links_and_special_files_that_are_refused(web: Path, make: Callable[[Path], None], word: str) -> None:
    make(web)
    (line,) = _problems(web)
    assert line.startswith("link: ")
    assert word in line


@pytest.mark.parametrize("target", [".env", "private/x", "a.map"])
def test_a_link_does_not_smuggle_out_what_is_refused_or_left_out(web: Path, target: str) -> None:
    _put(web, target)
    (web / "link.txt").symlink_to(target)
    lines = _problems(web, replace(_SPEC, exclude=("private",)))
    assert f"link.txt: it is a symbolic link to {target}, which is not shipped" in lines
    spec = replace(_SPEC, exclude=("private",), allow=("link.txt", ".env", "*.map"))
    if target == "private/x":
        assert _problems(web, spec)
    else:
        assert "link.txt" in _paths(web, spec)


def test_a_folder_that_may_not_be_read(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: bytes) -> None:
        raise PermissionError(13, "no", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(AccessError) as caught:
        collect(web, _SPEC)
    assert caught.value.subject == str(web)
