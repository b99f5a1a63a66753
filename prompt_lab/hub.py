"""Whether the hub can be reached, asked once: without a network, say so at once and not after half a minute of retries."""

import os
import socket
import sys
from functools import cache
from urllib.parse import urlparse

WAIT_SECONDS = 5.0


@cache
def go_offline_if_unreachable() -> None:
    """Let the Hugging Face libraries use their caches alone if the hub does not answer.

    Behind a proxy nothing is asked, since only the libraries know how to reach the hub then.
    """
    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))
    if proxied or os.environ.get("HF_HUB_OFFLINE"):
        return
    from huggingface_hub import constants

    endpoint = urlparse(constants.ENDPOINT)
    try:
        socket.create_connection((endpoint.hostname or "", endpoint.port or 443), timeout=WAIT_SECONDS).close()
    except OSError:
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are still to be imported
        constants.HF_HUB_OFFLINE = True
        if "datasets" in sys.modules:
            sys.modules["datasets"].config.HF_HUB_OFFLINE = True
