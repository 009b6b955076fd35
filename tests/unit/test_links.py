"""The documentation holds together: links, anchors, decisions, and what of it is YAML."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.documents import DOCS, ROOT

LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
CODE = re.compile(r"`[^`\n]*`")
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
FRONT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
PAGES = [*(ROOT / name for name in FRONT), *sorted(DOCS.rglob("*.md"))]
SOURCES = (
    "operator",
    "registry_runtime",
    "local_cluster",
    "quickstart",
    "release",
    "manifests",
    "tests",
    "benchmarks",
)
TEXTS = {".py", ".yaml", ".j2", ".txt", ".json"}


class Link(NamedTuple):
    """Of one page to another, or to a heading."""

    page: Path
    target: str

    @property
    def file(self) -> Path:
        path = self.target.partition("#")[0]
        return (self.page.parent / path).resolve() if path else self.page

    @property
    def anchor(self) -> str:
        return self.target.partition("#")[2]


def prose(page: Path) -> str:
    """Without what stands in fences: no link is followed there."""
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[Link]:
    """Those that stay within the repository."""
    text = CODE.sub("`code`", prose(page))
    return [Link(page, found) for found in LINK.findall(text) if "://" not in found]


@cache
def anchors(page: Path) -> frozenset[str]:
    """As GitHub makes them of headings; the second of a name has a number."""
    seen: Counter[str] = Counter()
    made = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip())
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(made)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """Relative to the page, within the repository; an anchor to a heading that is there."""
    for link in links(page):
        assert link.file.exists(), link.target
        assert link.file.is_relative_to(ROOT), link.target
        if link.anchor and link.file.suffix == ".md":
            assert link.anchor in anchors(link.file), link.target


def test_every_page_that_the_sources_name_is_there() -> None:
    """Comments, messages for users and alerts: the file, and the heading."""
    files = [file for folder in SOURCES for file in (ROOT / folder).rglob("*") if file.suffix in TEXTS]
    for file in [ROOT / "Makefile", *files]:
        for path, anchor in re.findall(r"(?<![\w/-])(docs/[\w/-]+\.md)(?:#([\w-]+))?", file.read_text()):
            assert (ROOT / path).exists(), f"{named(file)}: {path}"
            assert not anchor or anchor in anchors(ROOT / path), f"{named(file)}: {path}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    """By following links; one to a folder shows what lies in it."""
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in links(page):
            found = sorted(link.file.glob("*.md")) if link.file.is_dir() else [link.file]
            waiting += [file for file in found if file.suffix == ".md" and file not in reached]
    assert not [named(page) for page in PAGES if page not in reached]


def test_every_decision_has_a_number_of_its_own() -> None:
    """That of its file is that of its heading."""
    files = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [int(file.name[:4]) for file in files]
    assert len(numbers) == len(set(numbers))
    for file, number in zip(files, numbers, strict=True):
        assert file.read_text().startswith(f"# {number}. "), file.name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_decision_that_is_named_is_linked(page: Path) -> None:
    """By a link to its own page."""
    text = prose(page)
    assert not re.findall(r"\b[Dd]ecisions? \d+(?![^\[\]]*\]\()", text)
    for number, target in re.findall(
        r"\[[^\]]*?\b(\d{1,2})\]\(([^)]*decisions/\d{4}[^)]*|\d{4}-[^)]*)\)", text
    ):
        assert int(Path(target).name[:4]) == int(number), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_yaml_parses(page: Path) -> None:
    """Every fence that says so."""
    for indent, language, body in FENCE.findall(page.read_text()):
        if language == "yaml":
            text = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
            assert list(yaml.safe_load_all(text)), text


def test_every_fence_is_closed() -> None:
    """Else the rest of the page would be code."""
    for page in PAGES:
        assert "```" not in prose(page), named(page)


@pytest.mark.parametrize("package", ["operator/registry_operator", "registry_runtime"])
def test_every_module_has_its_line_in_the_architecture(package: str) -> None:
    """Each file and folder at the top of the two programs; none that is gone."""
    page = (DOCS / "architecture.md").read_text()
    table = page[page.index("## Component → file") :]
    _, part = next(
        (head, body)
        for head, _, body in (one.partition("\n") for one in table.split("### "))
        if f"`{package}/`" in head
    )
    found = [
        one for one in (ROOT / package).iterdir() if one.suffix == ".py" or (one / "__init__.py").exists()
    ]
    there = {one.name if one.suffix else f"{one.name}/" for one in found if not one.name.startswith("__")}
    assert not sorted(name for name in there if f"`{name}" not in part)
    for name in re.findall(r"`([a-z_]+/?(?:[a-z_/]*\.py)?)`", part):
        places = (ROOT / package / name, ROOT / name, *(ROOT / package / "repository").glob(name))
        assert any(place.exists() for place in places), name


def test_commands_of_the_documentation_are_there() -> None:
    """Each `make` target, each verb of `kubectl roadstead`, each module that is started by its name."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    verbs = {file.stem for file in (ROOT / "operator/registry_operator/command").glob("*.py")}
    for page in PAGES:
        code = " ".join(
            [*CODE.findall(page.read_text()), *(body for _, _, body in FENCE.findall(page.read_text()))]
        )
        assert set(re.findall(r"(?:^|[`$\n]) ?make ([a-z][a-z0-9-]*)", code)) <= targets, named(page)
        assert set(re.findall(r"kubectl roadstead ([a-z]+)", code)) <= verbs, named(page)
        for module in re.findall(
            r"-m ((?:registry_runtime|registry_operator|local_cluster|benchmarks|release)[.\w]*)", code
        ):
            place = (
                ROOT
                / ("operator" if module.startswith("registry_operator") else "")
                / module.replace(".", "/")
            )
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), (
                f"{named(page)}: {module}"
            )
