"""What the values of the settings mean.

How they reach us is in tests/pips/test_settings.py, the defaults in tests/product/test_docs.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.records import replace
from pip_retry_patch.settings import Settings, read, table


def same(found: Settings, **wanted: Any) -> bool:
    return replace(found, origins={}) == Settings(**wanted)


def test_environment_outranks_the_commands_section_outranks_global() -> None:
    items = [
        (":env:.retry-patch-attempts", "3"),
        *(("global.retry-patch-attempts", "1"), ("download.retry-patch-attempts", "2")),
        *(("global.retry-patch-patience", "10"), ("download.retry-patch-patience", "20.5")),
        *(("install.retry-patch-patience", "30"), ("global.timeout", "5")),
    ]
    assert same(read(items, lambda: "download"), patience=20.5, first_contact=20.5, attempts=3)
    assert same(read(items, lambda: "install"), patience=30.0, attempts=3)
    assert same(read(items), patience=10.0, first_contact=10.0, attempts=3)


@pytest.mark.parametrize(
    ("key", "words", "wanted"),
    [
        ("retry-patch", "0,off,no,false,Off,N, f ", {"enabled": False}),
        ("retry-patch", "1,on,yes,TRUE,y,t", {"enabled": True}),
        ("retry-patch-indexes", "all,ALL, All ", {"indexes": "all"}),
        ("retry-patch-indexes", "any,Any", {"indexes": "any"}),
        ("retry-patch-partials", "off", {"partials": False}),
        ("retry-patch-partials", "on", {"partials": True}),
        ("retry-patch-attempts", ", ", {}),  # an empty value is no value
        # What is read from the environment alone is no misspelt setting.
        *((f"retry-patch-{name}", "1", {}) for name in ("venvs", "strict")),
        ("retry-patch-partials-size", "0", {"partials_size": 0}),
        ("retry-patch-partials-size", "20kB", {"partials_size": 20_000}),
        ("retry-patch-partials-size", "5 mb", {"partials_size": 5_000_000}),
        ("retry-patch-partials-size", "1B", {"partials_size": 1}),
        ("retry-patch-partials-size", "1.5 GiB", {"partials_size": 3 << 29}),
    ],
)
def test_a_value_may_be_spelt_in_several_ways(key: str, words: str, wanted: dict[str, Any]) -> None:
    for word in words.split(","):
        for section in ("global", ":env:"):
            assert same(read([(f"{section}.{key}", word)]), **wanted)


@pytest.mark.parametrize(
    ("key", "value", "must_be"),
    [
        *(
            (key, value, "number")
            for key in ("patience", "attempts")
            for value in ("soon", "-1", "nan", "inf", "1e999", "1,5", "0x10")
        ),
        *(("attempts", value, "whole number. Using 8") for value in ("2.5", "1e3")),
        *(("partials-size", value, "size with") for value in ("5 G", "-5 GB", "700", "1e9 GB")),
        ("partials-size", "9" * 400 + " GB", "size with its unit"),
        *(("partials", value, "absolute path") for value in ("relative/path", "2")),
        ("log", "relative/path", "absolute path"),
        ("stale", "maybe\x1b[31m", "on or off"),
        ("mirrors", "https://m.example user:SECRET@n.example/simple", "http or https"),
    ],
)
def test_nonsense_is_one_clear_line_and_the_default(key: str, value: str, must_be: str) -> None:
    found = read([(f"global.retry-patch-{key}", value)])
    (line,) = found.complaints
    assert f"retry-patch-{key} must be" in line and must_be.partition(".")[0] in line
    assert value[:5] in line and not {"\n", "\x1b"} & {*line} and "SECRET" not in line
    assert same(found, complaints=(line,))


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("patiance", "Did you mean retry-patch-patience?"),
        ("partial-size", "Did you mean retry-patch-partials-size?"),
        ("\x1b[31mzzzzzzzzzzzzzzzzzzzzzzzz", "retry-patch-?[31mz"),
        *((f"partials-{old}", "mean retry-patch-partials?") for old in ("dir", "days")),
    ],
)
def test_a_misspelt_setting_is_one_line_with_the_nearest_name(key: str, meant: str) -> None:
    (line,) = read([(f":env:.retry-patch-{key}", "5")]).complaints
    assert meant in line and "\n" not in line and "\x1b" not in line


def test_a_path_is_normalized(tmp_path: Path) -> None:
    found = read([("global.retry-patch-partials", f"{tmp_path}/a/../b/")])
    assert same(found, partials=str(tmp_path / "b"))


def test_mirrors_are_listed_as_pip_writes_lists_and_shown_without_credentials() -> None:
    one, other = "https://a.example/simple", "https://user:secret@b.example:8080/x/"
    found = read([("global.retry-patch-mirrors", f"\n{one}\n{other}  {one} ")])
    assert found.mirrors == (one, other)
    shown = table(found)["retry-patch-mirrors"]["value"]
    assert list(shown) == [one, "https://b.example:8080/x/"]
    secret = "ftp://user:secret@a.example/x?token=1"
    for nonsense in (secret, "//b.example", "file:///c", "https://[", "https://a.example:80a/"):
        found = read([("global.retry-patch-mirrors", f"{one} {nonsense}")])
        (line,) = found.complaints
        assert "secret" not in line and "token" not in line
        assert same(found, complaints=(line,), mirrored="")


@pytest.mark.parametrize(
    ("items", "index"),
    [
        ({"global.retry-patch-mirrors": "m", "global.index-url": "i"}, "i"),
        ({"global.retry-patch-mirrors": "m"}, ""),
        ({"global.retry-patch-mirrors": "m", "global.index-url": "i", ":env:.index-url": "e"}, "i"),
        ({"global.retry-patch-mirrors": "m", ":env:.index-url": "e"}, ""),
        ({":env:.retry-patch-mirrors": "m", ":env:.index-url": "e", "global.index-url": "i"}, "e"),
        ({":env:.retry-patch-mirrors": "m", "global.index-url": "i"}, None),
    ],
)
def test_mirrors_are_for_the_index_beside_them(items: dict[str, str], index: str | None) -> None:
    assert read(list(items.items())).mirrored == index


def test_where_each_setting_was_made_is_told_as_a_user_would_change_it() -> None:
    attempts, partials = ("global.retry-patch-attempts", "1"), (":env:.retry-patch-partials", "off")
    merged = [attempts, ("install.retry-patch-patience", "20"), partials]
    # Newer pips give one mapping for each file.
    newer = [("/etc/pip.conf", dict([attempts])), (":env:", dict([partials]))]
    for items, origins in (
        (merged, ["[global] in pip's configuration", "[install] in pip's configuration"]),
        (newer, ["[global] in /etc/pip.conf", "default"]),
    ):
        shown = table(read(items, lambda: "install"))
        names = "retry-patch-attempts", "retry-patch-patience"
        assert [shown[name]["origin"] for name in names] == origins
        by_environment = {"value": False, "origin": "PIP_RETRY_PATCH_PARTIALS"}
        assert shown["retry-patch-partials"] == by_environment
        assert shown["retry-patch"] == {"value": True, "origin": "default"}
