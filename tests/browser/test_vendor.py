"""The vendored files are the published ones, all of them are listed, and each says its licence."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

VENDOR = Path(__file__).parents[2] / "static" / "vendor"
MANIFEST = json.loads((VENDOR / "VENDOR.json").read_text(encoding="utf-8"))
PACKAGES = MANIFEST["packages"]
UNLISTED = {"VENDOR.json", ".gitattributes"}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_vendored_files_match_their_hashes(package: dict[str, Any]) -> None:
    """Every file of a package still has the bytes that were published."""
    for entry in package["files"]:
        digest = hashlib.sha256((VENDOR / entry["path"]).read_bytes()).hexdigest()
        assert digest == entry["sha256"], f"{entry['path']} was changed"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_each_package_is_pinned_and_carries_its_licence(package: dict[str, Any]) -> None:
    """A package names an exact version and what its archive hashes to, and ships its licence."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
    assert package["licence"]
    assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])
    assert any(Path(entry["path"]).name.startswith("LICENSE") for entry in package["files"])


def test_nothing_unlisted_is_vendored() -> None:
    """A file that is not in the manifest cannot hide in the folder."""
    listed = {entry["path"] for package in PACKAGES for entry in package["files"]}
    present = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert present - UNLISTED == listed


def test_manifest_holds_no_addresses() -> None:
    """The manifest says what a file is, never where to download it."""
    assert "://" not in (VENDOR / "VENDOR.json").read_text(encoding="utf-8")
