"""Tags and the catalog, in pages."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.api.client import Answer, Client


def pages(client: Client, path: str, field: str) -> tuple[list[str], int]:
    """All entries, and how many pages they took."""
    entries: list[str] = []
    count = 0
    while path:
        answer = client.send("GET", path)
        assert answer.status == 200, answer.body
        entries += answer.json()[field]
        count += 1
        link = answer["Link"]
        path = link[1 : link.index(">")] if link else ""
    return entries, count


def listed(client: Client, **query: str | int) -> Answer:
    return client.send("GET", f"{client.base}/tags/list?{urlencode(query)}")


@pytest.fixture
def tagged(client: Client) -> Client:
    """A repository with five tags, put in no order."""
    digest, content = client.push_image()
    query = "&".join(f"tag={tag}" for tag in ["b", "a", "B", "_", "1.0"])
    assert client.put_manifest(f"{digest}?{query}", content).status == 201
    return client


TAGS = ["1.0", "B", "_", "a", "b"]


def test_all_tags(tagged: Client) -> None:
    """In the order of bytes, with the repository's name, and no Link."""
    answer = listed(tagged)
    assert answer.json() == {"name": tagged.repository, "tags": TAGS}
    assert answer["Link"] is None


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ({"n": 0}, [], False),
        ({"n": 2}, TAGS[:2], True),
        ({"n": 5}, TAGS, False),
        ({"n": 100000000}, TAGS, False),
        ({"last": "B"}, TAGS[2:], False),
        ({"last": "C"}, TAGS[2:], False),
        ({"last": "zzz"}, [], False),
        ({"n": 1, "last": "_"}, ["a"], True),
        ({"n": 2, "last": "_"}, ["a", "b"], False),
    ],
)
def test_parts(tagged: Client, query: dict[str, str | int], expected: list[str], more: bool) -> None:
    """`n` bounds, `last` begins behind it, and the Link is there where more follows."""
    answer = listed(tagged, **query)
    assert answer.json()["tags"] == expected
    assert (answer["Link"] is not None) is more


def test_links_lead_through_all(tagged: Client) -> None:
    """Following the Links sees each tag once."""
    assert pages(tagged, f"{tagged.base}/tags/list?n=2", "tags") == (TAGS, 3)


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "9" * 40, "٣"])
def test_numbers_that_are_none(tagged: Client, n: str) -> None:
    """400, with the code for it."""
    answer = listed(tagged, n=n)
    assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID")


@pytest.mark.parametrize("last", ["../..", "a/b", "\x00", "é", "x" * 5000, "%"])
def test_any_last_is_harmless(tagged: Client, last: str) -> None:
    """Whatever is asked behind: an answer, and no look at anything else."""
    answer = listed(tagged, last=last)
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert set(answer.json()["tags"]) <= set(TAGS)


def test_a_repository_that_never_was(client: Client) -> None:
    """404 NAME_UNKNOWN."""
    answer = listed(client)
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_a_deleted_tag_is_not_listed(tagged: Client) -> None:
    """It is out of the list at once."""
    tagged.send("DELETE", f"{tagged.base}/manifests/B")
    assert listed(tagged).json()["tags"] == ["1.0", "_", "a", "b"]


def test_the_catalog(client: Client) -> None:
    """Repositories with content, in order, in pages."""
    names = [f"{client.repository}/{part}" for part in ("a", "b", "c/d")]
    for name in names:
        part = Client(client.host, client.port, client.tls, client.password, name)
        part.push_image("latest")
    found, count = pages(client, "/v2/_catalog?n=2", "repositories")
    assert [name for name in found if name.startswith(client.repository)] == names
    assert count >= 2
    after = client.send("GET", f"/v2/_catalog?{urlencode({'n': 1, 'last': names[0]})}")
    assert after.json()["repositories"] == [names[1]]
    assert client.send("GET", "/v2/_catalog?n=0").json()["repositories"] == []
