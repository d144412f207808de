from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.bundle.archive import write_archive
from otagate.bundle.collect import collect
from otagate.bundle.inspect import read_archive
from otagate.bundle.names import fault, folded
from otagate.policy.model.bundles import BundleSpec

_NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
_CONTENT = st.one_of(st.binary(max_size=400), st.binary(min_size=1, max_size=4).map(lambda piece: piece * 500))
_LENIENT = BundleSpec(allow=("*",), require_notify_app_ready=False)


def _is_fine(name: str) -> bool:
    return fault(name) is None and fault(folded(name)) is None


@settings(max_examples=15, deadline=None)
@given(st.dictionaries(_NAME.filter(_is_fine), _CONTENT, max_size=8))
def test_whatever_is_collected_comes_back_the_same(contents: dict[str, bytes]) -> None:
    apart = {folded(name): (name, data) for name, data in contents.items()}
    with tempfile.TemporaryDirectory() as place:
        web, archive = (Path(place) / name for name in ("dist", "a.zip"))
        web.mkdir()
        (web / "index.html").write_bytes(b"<html>")
        for key, (name, data) in apart.items():
            if key != "index.html":
                (web / name).write_bytes(data)
        files = collect(web, _LENIENT)
        bundle = write_archive(files, archive)
        assert read_archive(archive) == bundle.files
        with zipfile.ZipFile(archive) as unpacked:
            came_back = {name: unpacked.read(name) for name in unpacked.namelist()}
        assert came_back == {file.path: file.source.read_bytes() for file in files}
        assert len(files) == len(apart.keys() | {"index.html"})
