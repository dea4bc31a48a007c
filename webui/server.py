"""Serve the page: take the port, build the Runtime and the page, answer, and close everything again.

The port is taken first, because that is what most often fails and nothing is worth loading without it; from then on a
browser that comes early waits instead of being refused. Gradio (3 s to import) comes next; torch only in the workers.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import threading
import webbrowser

from webui.errors import InvalidSettings
from webui.flags import Parser
from webui.settings import Settings, create_folders

_BACKLOG = 128
_GOODBYE_SECONDS = 2  # for requests still open when the server stops; a watched job keeps one open for long


def add_flags(parser: Parser) -> None:
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="Serve to other computers although there are no accounts yet: all who reach the port may draw and see.",
    )


def serve(settings: Settings, insecure: bool = False) -> None:
    """Answer until Ctrl-C or SIGTERM. Raises ``InvalidSettings`` when the address, the port or a folder cannot be used."""
    if not is_loopback(settings.host) and not insecure:
        raise InvalidSettings(
            f"{settings.host} can be reached from other computers, and there are no accounts yet: everybody who reaches "
            "the port could draw and see all pictures. Add --insecure if that is fine in this network."
        )
    create_folders(settings)
    with open_port(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        # Imported here: what the lines above refuse is said at once, and --help waits for nothing.
        import gradio
        import uvicorn
        from fastapi import FastAPI

        from webui.runtime import Runtime
        from webui.tabs import page

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                _announce(url(settings.host, port), settings.open_browser)
                runtime.start()  # not before: the workers import torch, which would hold up the page

        runtime = Runtime(settings)
        try:
            application = FastAPI(title="Lucid", docs_url=None, redoc_url=None, openapi_url=None)
            gradio.mount_gradio_app(application, page.build(runtime), path="/", **page.mount_options(runtime))
            config = uvicorn.Config(
                application, log_level="warning", access_log=False, timeout_graceful_shutdown=_GOODBYE_SECONDS
            )
            Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            print("Stopped. Jobs that were waiting or running go on at the next start.", file=sys.stderr)
        finally:
            runtime.close()


def open_port(host: str, port: int) -> socket.socket:
    """A socket that listens; ``InvalidSettings`` when the address is not of this computer or the port is taken."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise InvalidSettings(f'The host "{host}" is not known: {error.strerror}.') from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # SO_REUSEADDR there lets two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InvalidSettings(_cannot_listen(host, port, error)) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use, perhaps by Lucid itself. "
            f"Stop the other program or take another port: --port {port % 65535 + 1}."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs the rights of an administrator. Take one above 1023: --port 7860."
    return f"Cannot listen on {host}, port {port}: {error.strerror}."


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def url(host: str, port: int) -> str:
    """What to type into a browser on this computer."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _announce(address: str, open_browser: bool) -> None:
    print(f"Lucid answers on {address}", flush=True)
    if open_browser and has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # it may wait for the browser


def has_screen() -> bool:
    """Whether a browser that is opened here would be seen: not in a container, over SSH or in a service."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and "SSH_CONNECTION" not in os.environ
