"""The overlay that names the images."""

from __future__ import annotations

import json

from quickstart.install import overlay


def test_the_overlay_names_both_images_and_nothing_else() -> None:
    """The operator's image and the Registries'; no `namespace:`, which would rename Namespaces."""
    written = json.loads(overlay("../manifests", "operator:1", "runtime:2"))
    assert set(written) == {"apiVersion", "kind", "resources", "patches"}
    patch = json.loads(written["patches"][0]["patch"])
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "operator:1"
    assert container["env"] == [{"name": "RUNTIME_IMAGE", "value": "runtime:2"}]
