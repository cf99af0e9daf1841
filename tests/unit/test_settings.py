"""What the values of the settings mean; how pip's own files and environment reach them is e2e."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.records import replace
from pip_retry_patch.settings import Settings, read, table


def same(found: Settings, **wanted: Any) -> bool:
    return replace(found, origins={}) == Settings(**wanted)


def test_nothing_set_means_the_defaults() -> None:
    """As docs/settings.md has them."""
    found = read([])
    assert {name: getattr(found, name) for name in Settings.__annotations__} == {
        "enabled": True,
        "patience": 120.0,
        "first_contact": 30.0,
        "attempts": 8,
        "indexes": "any",
        "mirrors": (),
        "stale": False,
        "partials": True,
        "partials_size": 5_000_000_000,
        "log": "",
        "complaints": (),
        "origins": {},
        "mirrored": "",
    }


def test_environment_outranks_the_commands_section_outranks_global() -> None:
    items = [
        (":env:.retry-patch-attempts", "3"),
        ("global.retry-patch-attempts", "1"),
        ("download.retry-patch-attempts", "2"),
        ("global.retry-patch-patience", "10"),
        ("download.retry-patch-patience", "20.5"),
        ("install.retry-patch-patience", "30"),
        ("global.timeout", "5"),
    ]
    assert same(read(items, "download"), patience=20.5, first_contact=20.5, attempts=3)
    assert same(read(items, "install"), patience=30.0, attempts=3)
    assert same(read(items), patience=10.0, first_contact=10.0, attempts=3)


SPELT: list[tuple[str, str, dict[str, Any]]] = [  # as pip spells it
    ("retry-patch", "0,off,no,false,Off,N, f ", {"enabled": False}),
    ("retry-patch", "1,on,yes,TRUE,y,t", {"enabled": True}),
    ("retry-patch-indexes", "all,ALL, All ", {"indexes": "all"}),
    ("retry-patch-indexes", "any,Any", {"indexes": "any"}),
    ("retry-patch-partials", "off", {"partials": False}),
    ("retry-patch-partials", "on", {"partials": True}),
    ("retry-patch-partials-size", "0", {"partials_size": 0}),
    ("retry-patch-partials-size", "20kB", {"partials_size": 20_000}),
    ("retry-patch-partials-size", "5 mb", {"partials_size": 5_000_000}),
    ("retry-patch-partials-size", "1B", {"partials_size": 1}),
    ("retry-patch-partials-size", "5 GiB", {"partials_size": 5 << 30}),
]


@pytest.mark.parametrize(("key", "words", "wanted"), SPELT)
def test_a_value_may_be_spelt_in_several_ways(key: str, words: str, wanted: dict[str, Any]) -> None:
    for word in words.split(","):
        assert same(read([(f"global.{key}", word)]), **wanted)
        assert same(read([(f":env:.{key}", word)]), **wanted)


def test_an_empty_value_is_no_value() -> None:
    assert same(read([(":env:.retry-patch", ""), (":env:.retry-patch-attempts", " ")]))


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1e999", "1,5", "0x10"])
def test_a_nonsense_number_is_one_clear_line_and_the_default(value: str) -> None:
    for key, default in (("retry-patch-patience", "120"), ("retry-patch-attempts", "8")):
        found = read([(f"global.{key}", value)])
        (line,) = found.complaints
        assert same(found, **{key.rpartition("-")[2]: float(default)}, complaints=(line,))
        assert key in line and value in line and default in line and "\n" not in line


def test_a_nonsense_switch_and_a_broken_attempt_count_are_said() -> None:
    found = read([("global.retry-patch", "maybe\x1b[31m"), ("global.retry-patch-attempts", "2.5")])
    switch, attempts = found.complaints
    assert same(found, complaints=(switch, attempts))
    assert "retry-patch must be on or off" in switch and "\x1b" not in switch
    assert "whole number" in attempts


def test_newer_pips_give_one_mapping_for_each_file() -> None:
    older = [("global.retry-patch", "off"), (":env:.retry-patch-attempts", "2")]
    newer = [("/etc/pip.conf", {older[0][0]: older[0][1]}), (":env:", dict([older[1]]))]
    assert same(read(older), enabled=False, attempts=2)
    assert same(read(newer), enabled=False, attempts=2)


def test_where_and_how_much_is_kept(tmp_path: Path) -> None:
    key, size = "global.retry-patch-partials", ("global.retry-patch-partials-size", "1.5 GB")
    there = read([(key, f"{tmp_path}/a/../b/"), size])
    wanted = {"partials": str(tmp_path / "b"), "partials_size": 1_500_000_000}
    assert same(there, **wanted)
    assert table(there)["retry-patch-partials"]["value"] == str(tmp_path / "b")


@pytest.mark.parametrize("gone", ["dir", "days"])
def test_a_setting_of_an_earlier_version_is_told_with_what_replaces_it(gone: str) -> None:
    (line,) = read([(f":env:.retry-patch-partials-{gone}", "/x")]).complaints
    assert f"no setting retry-patch-partials-{gone}." in line
    assert "Did you mean retry-patch-partials?" in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("partials-size", "5 G"),
        ("partials-size", "-5 GB"),
        ("partials-size", "700"),
        ("partials-size", "9" * 400 + " GB"),
        ("partials-size", "1e9 GB"),
        ("attempts", "1e3"),
        ("partials", "relative/path"),
        ("log", "relative/path"),
        ("partials", "2"),
    ],
)
def test_nonsense_about_what_is_kept_is_said(key: str, value: str) -> None:
    found = read([(f"global.retry-patch-{key}", value)])
    (line,) = found.complaints
    assert f"retry-patch-{key} must be" in line
    assert same(found, complaints=(line,))


def test_mirrors_as_pip_writes_lists() -> None:
    one, other = "https://a.example/simple", "https://user:secret@b.example:8080/x/"
    value = f"\n{one}\n{other}  {one}"
    found = read([("global.retry-patch-mirrors", value)])
    assert found.mirrors == (one, other)
    assert found.complaints == ()


def test_what_is_no_mirror_is_said_once_for_each_and_shows_no_secret() -> None:
    value = (
        "ftp://user:secret@a.example/x?token=1 //b.example file:///c https://d.example https://["
    )
    found = read([("global.retry-patch-mirrors", value)])
    assert found.mirrors == ("https://d.example",)
    assert len(found.complaints) == 4
    assert "secret" not in str(found.complaints) and "token" not in str(found.complaints)


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
def test_mirrors_are_for_the_index_that_is_set_beside_them(
    items: dict[str, str], index: str | None
) -> None:
    assert read(list(items.items())).mirrored == index


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("retry-patch-patiance", "Did you mean retry-patch-patience?"),
        ("retry-patch-partial-size", "Did you mean retry-patch-partials-size?"),
        ("retry-patch-\x1b[31mzzzzzzzzzzzzzzzzzzzzzzzz", "retry-patch-?[31mz"),
    ],
)
def test_a_misspelt_setting_is_one_line_with_the_nearest_name(key: str, meant: str) -> None:
    (line,) = read([(":env:." + key, "5")]).complaints
    assert meant in line and "\n" not in line and "\x1b" not in line


@pytest.mark.parametrize("name", ["venvs", "strict"])
def test_what_is_read_from_the_environment_alone_is_no_misspelt_setting(name: str) -> None:
    assert same(read([(f":env:.retry-patch-{name}", "1")]))


def test_the_table_shows_mirrors_without_credentials() -> None:
    found = read(
        [("global.retry-patch-mirrors", "https://me:SECRET@m.example/simple https://n.example")]
    )
    assert found.mirrors[0].startswith("https://me:SECRET@")
    shown = table(found)["retry-patch-mirrors"]["value"]
    assert list(shown) == ["https://m.example/simple", "https://n.example"]


NAMES = [f"retry-patch-{name}" for name in ("patience", "attempts", "partials", "log")]


def test_where_each_setting_was_made_is_told_as_a_user_would_change_it() -> None:
    merged = [
        ("global.retry-patch-patience", "10"),
        ("install.retry-patch-patience", "20"),
        ("global.retry-patch-attempts", "1"),
        (":env:.retry-patch-partials", "/x"),
        (":env:.retry-patch-log", ""),
    ]
    shown = table(read(merged, "install"))
    assert {key: entry["origin"] for key, entry in shown.items() if key in NAMES} == {
        "retry-patch-patience": "[install] in pip's configuration",
        "retry-patch-attempts": "[global] in pip's configuration",
        "retry-patch-partials": "PIP_RETRY_PATCH_PARTIALS",
        "retry-patch-log": "default",
    }
    newer = [("/etc/pip.conf", dict(merged[:1])), (":env:", dict(merged[3:4]))]
    shown = table(read(newer))
    assert shown["retry-patch-patience"] == {"value": 10.0, "origin": "[global] in /etc/pip.conf"}
    assert shown["retry-patch-partials"]["origin"] == "PIP_RETRY_PATCH_PARTIALS"
    assert shown["retry-patch"] == {"value": True, "origin": "default"}
    assert set(shown) >= {f"retry-patch-{name}" for name in ("log", "stale", "partials-size")}
