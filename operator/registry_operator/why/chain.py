"""From a pod's image to the decision, step by step; the first that is broken says what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from registry_operator.models import AccessToken, Key, Registry
from registry_operator.observed import Absence
from registry_operator.why import decided
from registry_operator.why.decided import Domain, Question
from registry_operator.why.image import Entry, Image, entries, is_for
from registry_operator.why.rights import Step, of_token, of_verdict
from registry_operator.why.seen import Container, Pod, Seen, names_of
from registry_runtime.contract.credential import Password


def of_pod(seen: Seen, pod: Pod) -> list[Iterator[Step]]:
    """A chain for every image of the pod; those first that the kubelet waits for."""
    waiting_first = sorted(pod.containers, key=lambda one: one.waiting is None)
    return [of_image(seen, pod, container) for container in waiting_first]


def of_image(seen: Seen, pod: Pod, container: Container) -> Iterator[Step]:
    waiting = f": {container.waiting.reason}" if container.waiting is not None else ""
    yield Step(None, f"container {container.name} wants the image {container.image}{waiting}")
    image = Image.parse(container.image)
    registry = seen.serving(image)
    if registry is None:
        hosts = sorted(host for one in seen.registries.values() for host in names_of(one))
        more = "; there may be others that you may not see" if "registries" in seen.hidden else ""
        text = f"no Registry here serves {image.hostname}"
        yield Step(False, text, f"the image's name begins with one of: {', '.join(hosts) or 'none'}{more}")
        return
    domain = domain_of(registry, image.hostname)
    yield Step(True, f"{image.hostname} is the {domain} domain of Registry {registry.key}")
    known = decided.known(seen, registry)
    asked = Question(registry, known, domain, image.repository, address=pod.node_address)
    if decided.decided(seen, asked, decided.of_nobody()).allowed:
        yield Step(True, "anybody may pull it, without credentials")
        return
    yield from _by_credentials(seen, pod, asked, image)


def _by_credentials(seen: Seen, pod: Pod, asked: Question, image: Image) -> Iterator[Step]:
    """Each password that the pod has for the image, until one is good."""
    steps, found = _credentials(seen, pod, image)
    yield from steps
    for place, password in found:
        yield Step(True, f"Secret {place} has an entry for {image.host}")
        chain = list(of_password(seen, asked, password))
        yield from chain
        if chain[-1].good:
            return
    if not found and all(step.good is not None for step in steps):
        yield from _without_secret(seen, pod, asked, image)


def domain_of(registry: Registry, hostname: str) -> Domain:
    return "private" if hostname == registry.spec.private_host else "public"


def _credentials(seen: Seen, pod: Pod, image: Image) -> tuple[list[Step], list[tuple[Key, Password]]]:
    """What the pull secrets of the pod have for the image, in the order in which they are tried."""
    steps, found = [], []
    for name in pod.pull_secrets:
        key = Key(pod.key.namespace, name)
        secret = seen.secrets.get(key)
        if secret is Absence.NOT_PERMITTED:
            steps.append(Step(None, f"you may not read Secret {key}: what is in it is not known"))
            continue
        if isinstance(secret, Absence):
            steps.append(Step(False, f"Secret {key} of imagePullSecrets does not exist"))
            continue
        own = [one for one in entries(secret) if is_for(one.host, image)]
        steps += [] if own else [Step(False, _not_for(key, image, entries(secret)))]
        found += [(key, one.password) for one in own if one.password is not None]
        if own and not any(one.password for one in own):
            text = f"Secret {key}: its entry for {image.host} holds no password of an AccessToken"
            steps.append(Step(False, text, "put in the pull secret of an AccessToken, as it is"))
    return steps, found


def _not_for(key: Key, image: Image, others: tuple[Entry, ...]) -> str:
    hosts = ", ".join(sorted(one.host for one in others)) or "none that can be read"
    return f"Secret {key} has no entry for {image.host} (it has: {hosts})"


def _without_secret(seen: Seen, pod: Pod, asked: Question, image: Image) -> Iterator[Step]:
    """No password: the pull is keyless, or anybody's, who may not."""
    registry = asked.registry
    late = set(pod.account_secrets) - set(pod.pull_secrets)
    if late:
        text = f"ServiceAccount {pod.service_account} names {', '.join(sorted(late))}, which the pod has not"
        yield Step(False, text, "the pod is older than that: delete it, so that it is made again")
        return
    keyless = registry.spec.authentication.kubernetes is not None
    identity = decided.of_service_account(pod.key.namespace, pod.service_account)
    verdict = decided.decided(seen, asked, identity)
    bringing = [one for one in seen.tokens.values() if _targets(seen, one, registry, pod.key.namespace)]
    if bringing and not verdict.allowed:
        yield _undelivered(bringing[0], pod)
        return
    if not keyless:
        text = f"the pod has no pull secret for {image.host}, and the Registry has no keyless pulls"
        remedy = (
            "have an AccessToken bring its pull secret here, as below; "
            "or set spec.authentication.kubernetes of the Registry"
        )
        yaml = f"spec:\n  pullSecrets:\n    namespaces: [{pod.key.namespace}]\n"
        yield Step(False, text, remedy, f"{yaml}    serviceAccounts: [{pod.service_account}]\n")
        return
    yield Step(
        None, f"keyless: a node that is set up for it shows the token of ServiceAccount {identity.name}"
    )
    yield from of_verdict(seen, asked, verdict)


def _targets(seen: Seen, token: AccessToken, registry: Registry, namespace: str) -> bool:
    """Whether the AccessToken is to bring a pull secret for the Registry there."""
    wanted, there = token.spec.pull_secrets, seen.accounts.get(namespace)
    if wanted is None or registry.key not in token.registries:
        return False
    labels = there.labels if there is not None else None
    return wanted.choose(namespace, labels)


def _undelivered(token: AccessToken, pod: Pod) -> Step:
    """An AccessToken has this namespace among its targets, and the pod has nothing of it."""
    distributed = token.status.condition("Distributed")
    secret = token.pull_secret_name
    if distributed is not None and distributed.status != "True":
        text = f"AccessToken {token.key} is to bring Secret {secret} here, and has not: {distributed.reason}"
        return Step(False, text, distributed.message)
    text = f"AccessToken {token.key} brings Secret {secret} here, but the pod does not name it"
    remedy = (
        f"name it in imagePullSecrets of the pod or of ServiceAccount {pod.service_account}, "
        "or have the AccessToken do so, as below; then make the pod again"
    )
    return Step(False, text, remedy, f"spec:\n  pullSecrets:\n    serviceAccounts: [{pod.service_account}]\n")


def of_password(seen: Seen, asked: Question, password: Password) -> Iterator[Step]:
    """From a password to the decision on a pull; of the password nothing but its id is told."""
    token = seen.token(password.id)
    if token is None and "accesstokens" not in seen.hidden:
        text = f"its password is of an AccessToken that is gone (id {password.id})"
        yield Step(
            False, text, "nobody renews this Secret: take the pull secret of an AccessToken that is there"
        )
        return
    name = str(token.key) if token is not None else f"with the id {password.id}, which you may not see"
    yield Step(True, f"its password is that of AccessToken {name}")
    held = asked.known.policy.tokens.get(password.id)
    if asked.known.in_force and held is not None and password.sha256 not in held.hashes:
        text = "the password is none of now: it was changed, and this Secret was not"
        yield Step(False, text, "delete the copy, and let the AccessToken's spec.pullSecrets bring it")
        return
    yield from of_token(seen, asked, password.id)
