"""The Debian packages that the project needs."""

from __future__ import annotations

import os
import shutil

import pytest

from local_cluster import debian
from local_cluster.errors import PackagesMissing
from local_cluster.preflight import PROGRAMS

ALL_INSTALLED = "\n".join(f"{package} installed" for package in debian.PACKAGES)


def test_what_dpkg_does_not_call_installed_is_missing() -> None:
    """A package that was removed but left its configuration is as missing as an unknown one."""
    listing = ALL_INSTALLED.replace("buildah installed", "buildah config-files").replace(
        "gcc installed\n", ""
    )

    assert debian.missing(listing) == ["gcc", "buildah"]
    assert debian.missing(ALL_INSTALLED) == []


def test_nothing_is_run_where_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No apt-get, not even an update, when no package is missing."""
    said: list[str] = []
    monkeypatch.setattr(debian, "installed", lambda: ALL_INSTALLED)
    monkeypatch.setattr(debian, "run", lambda argv, **_words: pytest.fail(f"ran {argv}"))

    debian.ensure(said.append)

    assert said == ["packages: all there"]


def test_without_root_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not install gets the reasons and the command to copy."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(debian, "installed", lambda: "gcc installed")

    with pytest.raises(PackagesMissing) as refusal:
        debian.ensure(lambda _line: None)

    assert "libseccomp-dev: runc without seccomp starts no pod" in str(refusal.value)
    assert "sudo apt-get install --no-install-recommends libc6-dev libseccomp-dev" in str(refusal.value)


def test_missing_packages_are_installed_after_one_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root gets what is missing, and only that."""
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "installed", lambda: ALL_INSTALLED.replace("skopeo installed", ""))
    monkeypatch.setattr(debian, "run", lambda argv, **_words: ran.append(argv))

    debian.ensure(lambda _line: None)

    assert [argv[:2] for argv in ran] == [["apt-get", "update"], ["apt-get", "install"]]
    assert ran[1][-1] == "skopeo"
    assert "gcc" not in ran[1]


def test_another_distribution_is_told_what_to_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dpkg nothing can be checked; the names of what is needed are shown, and the build goes on."""
    said: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    debian.ensure(said.append)

    assert "mmdebstrap" in said[0]


def test_what_a_host_must_have_is_installed() -> None:
    """Every program that a cluster asks a host for comes with a package of the list."""
    assert set(PROGRAMS.values()) <= set(debian.PACKAGES)
