"""Test whether a host can be reached, within seconds."""

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

SECONDS = 5.0


def network_problem(url, seconds=SECONDS):
    """Reason why a download cannot start, or `None` if the host (or the proxy for it) answers.

    Args:
        url: String, address to download from.
        seconds: Float, seconds to wait for an answer.

    Returns:
        String, a short reason such as "www.example.org: Name or service not known", or `None`.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname):
        parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    problem = [f"{parts.hostname}: no answer within {seconds:g} seconds"]

    def connect():
        try:
            port = parts.port or (80 if parts.scheme == "http" else 443)
            socket.create_connection((parts.hostname, port), seconds).close()
            problem[0] = None
        except (OSError, ValueError) as error:
            problem[0] = f"{parts.hostname}: {getattr(error, 'strerror', None) or error}"

    # A thread, because a timeout of the socket does not bound how long the name look-up takes.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return problem[0]
