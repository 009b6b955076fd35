"""Every metric of a replica, declared once: docs/metrics.md is printed from here (`make docs`)."""

from __future__ import annotations

from registry_runtime.contract.exposition import Counter, Families, Family, Gauge, Histogram
from registry_runtime.contract.process import Process
from registry_runtime.contract.state import REVISION_DIGITS


class Metrics(Families):
    """Who does what is counted counts it here; what is only asked for, `gauges` reads."""

    def __init__(self) -> None:
        self.process = Process()
        self._requests()
        self._storage()
        self._state()
        self._collection()

    def families(self) -> list[Family]:
        return [*super().families(), *self.process.families()]

    def _requests(self) -> None:
        about = ("noun", "method")
        self.requests = Counter("roadstead_requests_total", "Requests answered.", (*about, "code", "domain"))
        self.seconds = Histogram(
            "roadstead_request_seconds", "From a request's head to its answer's last byte.", about
        )
        self.running = Gauge("roadstead_requests_running", "Requests that are being answered.", ("listener",))
        self.connections = Gauge("roadstead_connections", "Open connections of clients.", ("listener",))
        self.received = Counter("roadstead_received_bytes_total", "Bytes of bodies in.", ("domain",))
        self.sent = Counter("roadstead_sent_bytes_total", "Bytes of bodies out.", ("domain",))
        self.uploads = Gauge("roadstead_uploads_running", "Requests that receive a blob.")
        self.uploads.set(0)
        self.refused = Counter("roadstead_refused_total", "Requests refused, by reason.", ("reason",))
        self.logins = Counter(
            "roadstead_logins_total",
            "Logins at the token endpoint; `result` is the decision's reason, Failed where there is none.",
            ("result",),
        )
        self.lag = Histogram(
            "roadstead_event_loop_lag_seconds", "How late the event loop came back from one second of sleep."
        )

    def _storage(self) -> None:
        self.storage = Gauge("roadstead_storage", "1 for what the last check found.", ("reason",))
        self.storage_checked = Gauge(
            "roadstead_storage_check_timestamp_seconds", "When the storage was last checked."
        )
        self.self_check = Gauge(
            "roadstead_self_check",
            "1 for how the last push and pull of the replica through its own endpoint ended.",
            ("reason",),
        )
        self.s3_requests = Counter(
            "roadstead_s3_requests_total",
            "Requests to the bucket by S3's operation; `code` is HTTP's, none where no answer came.",
            ("operation", "code"),
        )
        self.s3_seconds = Histogram(
            "roadstead_s3_request_seconds",
            "From a request to its answer's end, of a blob's to its head.",
            ("operation",),
        )
        self.s3_retries = Counter(
            "roadstead_s3_retries_total", "Requests that were made again.", ("operation",)
        )
        self.s3_throttled = Counter(
            "roadstead_s3_throttled_total", "Answers that ask for fewer requests.", ("operation",)
        )
        self.cache_reads = Counter(
            "roadstead_cache_reads_total", "Blobs opened, from the local cache (hit) or not.", ("result",)
        )
        self.cached = Gauge("roadstead_cache_bytes", "Bytes of blobs in the local cache.")

    def _state(self) -> None:
        self.replica = Gauge("roadstead_replica_info", "1, for the replica's zone.", ("zone",))
        self.ready = Gauge("roadstead_ready", "1 while requests may be sent here.")
        self.policy_since = Gauge(
            "roadstead_policy_timestamp_seconds", "When the policy in force came into force."
        )
        self.policy_hash = Gauge(
            "roadstead_policy_hash",
            f"The policy in force: the first {REVISION_DIGITS} hex digits of its revision, as a number.",
        )
        self.policy_entries = Gauge("roadstead_policy_entries", "What the policy in force holds.", ("kind",))
        self.policy_watched = Gauge(
            "roadstead_policy_watched", "1 while news of the policy would arrive at once."
        )
        self.policy_refusals = Counter("roadstead_policy_refusals_total", "Policies that could not be read.")
        self.certificate = Gauge(
            "roadstead_certificate_expiry_timestamp_seconds", "When a served certificate ends.", ("listener",)
        )
        self.issuers = Gauge(
            "roadstead_issuer_known", "1 for an issuer of ID tokens whose keys are known.", ("provider",)
        )
        self.key_problem = Gauge(
            "roadstead_encryption_problem", "1 while something is wrong with the tenant's keys."
        )
        self.rewrapping = Gauge(
            "roadstead_rewrapping_records",
            "Of this replica's last pass that encrypts records under the active key.",
            ("result",),
        )
        self.log_lost = Counter("roadstead_log_lost_total", "Lines of the log that were lost.")
        self.log_waiting = Gauge("roadstead_log_waiting", "Lines of the log that nobody read yet.")

    def _collection(self) -> None:
        self.collections = Counter(
            "roadstead_collection_runs_total", "Collections of this replica.", ("result",)
        )
        self.hidden = Counter(
            "roadstead_collection_hidden_total", "What nothing referred to, and was hidden.", ("kind",)
        )
        self.taken = Counter("roadstead_collection_taken_total", "What was taken for ever.", ("kind",))
        self.freed = Counter("roadstead_collection_freed_bytes_total", "Bytes of blobs taken for ever.")
        self.collected = Gauge(
            "roadstead_collection_timestamp_seconds", "When the last collection of this replica began."
        )
        self.collection_seconds = Gauge("roadstead_collection_seconds", "How long it took.")
        self.collection_problems = Gauge(
            "roadstead_collection_problems", "How much went wrong in it; the log says what."
        )
        self.lost_blobs = Gauge(
            "roadstead_collection_lost_blobs", "Blobs without their data, as the last audit here found."
        )
