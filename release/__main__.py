"""`python -m release chart` writes manifests/chart; `… bundle example.com/roadstead` writes a release."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from local_cluster import build, debian, images, parts
from local_cluster.engine import Buildah
from local_cluster.errors import ClusterError
from local_cluster.parts import Parts
from release import bundle, chart
from release.manifests import ROOT

CHART = ROOT / "chart"
NEXT = """\
{folder} has version {version}. Push both images, which keeps their digests:
  skopeo copy oci:{folder}/operator:{version} docker://{repository}/operator:{version}
  skopeo copy oci:{folder}/runtime:{version} docker://{repository}/runtime:{version}
and install by one of
  kubectl apply --server-side -f {folder}/install.yaml
  helm install roadstead {folder}/roadstead-{version}.tgz --namespace roadstead-system --create-namespace\
"""


def main() -> int:
    words = parse()
    version = str(tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]["version"])
    if words.verb == "chart":
        for path in chart.write(CHART, version):
            print(path.relative_to(ROOT.parent))
        return 0
    try:
        debian.ensure(print)
        build.cache_root().mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="release-", dir=build.cache_root()) as folder:
            try:
                write(words.to, words.repository, version, Path(folder))
            finally:
                shutil.rmtree(Buildah(Path(folder), print).run_root, ignore_errors=True)
    except (ClusterError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(NEXT.format(folder=words.to, version=version, repository=words.repository))
    return 0


def write(folder: Path, repository: str, version: str, made_in: Path) -> None:
    """Builds the images in the folder `made_in`: in an empty one with the Debian packages of today.

    Raises ClusterError where something cannot be built, CalledProcessError where a tool fails.
    """
    made = Parts(made_in)
    engine = build.engine_for(made.root, print, docker=False)
    folder.mkdir(parents=True, exist_ok=True)
    pinned = {}
    for name in images.PYTHON_IMAGES:
        archive = images.build_one(made, engine, name, print).archive
        digest = bundle.layout(archive, folder / name, version)
        pinned[name] = bundle.Pinned(f"{repository}/{name}", digest)
    (folder / "install.yaml").write_text(bundle.install(pinned))
    bundle.pinned_chart(folder / "chart", version, pinned)
    wanted = [part for part in parts.CLIENTS if part.name == "helm"]
    helm = parts.build(build.cache_root(), print, wanted).binary("helm")
    subprocess.run([helm, "package", folder / "chart", "--destination", folder], check=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("chart", help="write manifests/chart from manifests/")
    whole = verbs.add_parser("bundle", help="images as OCI layouts, install.yaml and chart by their digests")
    whole.add_argument("repository", help="where the images will be, as example.com/roadstead")
    whole.add_argument("--to", type=Path, default=Path("dist"), help="folder (default: dist)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
