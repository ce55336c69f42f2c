"""Serve's HTTP proxies: their options, and whether those of a running Serve are the ones that the config names."""

from collections.abc import MutableMapping
from typing import Any

import ray
from ray.serve import context

from labelstream.deploy.gateway.proxy.guard import IMPORT_PATH, VARIABLE
from labelstream.workers.errors import StartError
from labelstream.workers.settings.http import HttpSettings

# Serve replaces a proxy after three failed checks. A dead proxy fails each at once; a busy one has 10 s for each.
CHECK_VARIABLE, CHECK_PERIOD_S = "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S", "1"


def guard_proxies(environment: MutableMapping[str, str]) -> None:
    """Make the proxies of a Ray that starts with `environment` hide Serve's own paths (see `guard`), and Serve replace
    a dead proxy soon.
    """
    environment[VARIABLE] = IMPORT_PATH
    environment.setdefault(CHECK_VARIABLE, CHECK_PERIOD_S)


def proxy_options(http: HttpSettings | None) -> dict[str, Any]:
    """Arguments of `serve.start`. Without HTTP there is no proxy."""
    if http is None:
        return {"proxy_location": "Disabled"}
    files = {} if http.cert_file is None else {"ssl_certfile": str(http.cert_file), "ssl_keyfile": str(http.key_file)}
    return {"proxy_location": "EveryNode", "http_options": {"host": http.host, "port": http.port, **files}}


def check_proxy(http: HttpSettings) -> None:
    """Raises StartError unless the running Serve has HTTP proxies where `http` says: Serve keeps the options with which
    it was started.
    """
    client = context._get_global_client()
    found: Any = client.http_config  # type: ignore[union-attr]
    location: Any = ray.get(client._controller.get_proxy_location.remote())  # type: ignore[union-attr]
    fix = "stop Serve there with `serve shutdown`, or with the command that started it, and run again"
    if getattr(location, "value", location) == "Disabled":
        raise StartError(f"http: Serve already runs on this Ray, without HTTP; {fix}")
    for key, wanted, there in (
        ("host", http.host, found.host),
        ("port", http.port, found.port),
        ("cert_file", http.cert_file and str(http.cert_file), found.ssl_certfile),
        ("key_file", http.key_file and str(http.key_file), found.ssl_keyfile),
    ):
        if wanted != there:
            raise StartError(f"http.{key}: Serve already runs on this Ray with {there}, not {wanted}; {fix}")
