"""What the API holds of some collections, kept up to date by a watch on each."""

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_cluster.api import Api
from local_cluster.errors import ApiRefused, NotRunning

AGAIN_SECONDS = 0.5


@dataclass
class Mirror:
    """Objects as JSON. `connect` is asked for each new watch; `changed` is set at every change."""

    connect: Callable[[], Api]
    collections: tuple[str, ...]
    changed: threading.Event = field(default_factory=threading.Event)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start(self) -> None:
        """One thread for each collection, for as long as the process lives."""
        for collection in self.collections:
            threading.Thread(target=self.follow, args=(collection,), daemon=True).start()

    @property
    def complete(self) -> bool:
        """Whether every collection has been listed once: half a view would allow or deny at random."""
        return all(collection in self.objects for collection in self.collections)

    def all(self, collection: str) -> tuple[dict[str, Any], ...]:
        return tuple(self.objects[collection].values())

    def follow(self, collection: str) -> None:
        """Lists and watches, for ever, and begins anew when a watch fails; meanwhile the last state stays."""
        while True:
            try:
                api = self.connect()
                version = self.list(api, collection)
                for event in api.watch(collection, version):
                    self.take(collection, event)
            except (OSError, ValueError, http.client.HTTPException, ApiRefused, NotRunning) as error:
                print(f"{collection}: {error}", flush=True)
                time.sleep(AGAIN_SECONDS)

    def list(self, api: Api, collection: str) -> str:
        """The resourceVersion from which to watch on."""
        listed = api.get(collection)
        self.objects[collection] = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.changed.set()
        return str(listed["metadata"]["resourceVersion"])

    def take(self, collection: str, event: dict[str, Any]) -> None:
        """A new dictionary each time: another thread may be reading the former one."""
        if event["type"] == "ERROR":
            raise ApiRefused(event["object"].get("code", 0), event["object"].get("message", ""))
        uid = event["object"]["metadata"]["uid"]
        others = {key: value for key, value in self.objects[collection].items() if key != uid}
        self.objects[collection] = others if event["type"] == "DELETED" else {**others, uid: event["object"]}
        self.changed.set()
