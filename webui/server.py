"""Serve the page: take the port, build the Runtime and the page, answer, and close everything again.

The port is taken first, because that is what most often fails and nothing is worth loading without it; from then on a
browser that comes early waits instead of being refused. Gradio (3 s to import) comes next; torch only in the workers.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING, Any

from webui.errors import InvalidSettings
from webui.flags import Parser
from webui.settings import Settings, create_folders

if TYPE_CHECKING:
    from fastapi import FastAPI

    from webui.accounts.accounts import Accounts
    from webui.runtime import Runtime

_BACKLOG = 128
_GOODBYE_SECONDS = 2  # for requests still open when the server stops; a watched job keeps one open for long


def add_flags(parser: Parser) -> None:
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="Serve to other computers without accounts: all who reach the port may draw, and see all pictures.",
    )
    parser.add_argument("--nowebui", action="store_true", help="Serve the HTTP API without the page.")


def serve(settings: Settings, insecure: bool = False, with_page: bool = True) -> None:
    """Answer until Ctrl-C or SIGTERM. Raises ``InvalidSettings`` when the address, the port or a folder cannot be used."""
    if not (is_loopback(settings.host) or insecure or has_accounts(settings)):
        raise InvalidSettings(
            f"{settings.host} can be reached from other computers, and there are no accounts: everybody who reaches the port "
            "could draw and see all pictures. Make one with: lucid users add NAME --admin. Or add --insecure if that is fine "
            "in this network."
        )
    create_folders(settings)
    certificate = _certificate(settings)
    with open_port(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        # Imported here: what the lines above refuse is said at once, and --help waits for nothing.
        import uvicorn

        from webui.runtime import Runtime

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                _announce(url(settings.host, port, bool(certificate)) + settings.root_path, settings.open_browser)
                runtime.start()  # not before: the workers import torch, which would hold up the page

        runtime = Runtime(settings)
        try:
            config = uvicorn.Config(
                guarded(application(runtime, with_page), runtime.accounts, settings),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_GOODBYE_SECONDS,
                root_path=settings.root_path,
                server_header=False,
                **certificate,
            )
            Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            print("Stopped. Jobs that were waiting or running go on at the next start.", file=sys.stderr)
        finally:
            runtime.close()


def has_accounts(settings: Settings) -> bool:
    """Whether anybody has to sign in here."""
    from webui.runtime import accounts_of

    accounts = accounts_of(settings)
    try:
        return accounts.exist()
    finally:
        accounts.close()


def application(runtime: Runtime, with_page: bool = True) -> FastAPI:
    """All that is served, without the gate: the gate's own pages, the API, then the page with all that belongs to it."""
    from fastapi import FastAPI

    from webui import metrics
    from webui.api.routes import add_routes
    from webui.gate import pages

    served = FastAPI(title="Lucid", docs_url=None, redoc_url=None, openapi_url=None)
    served.router.routes.extend([*pages.routes(runtime.accounts), metrics.route(runtime)])
    add_routes(served, runtime)
    if with_page:
        import gradio

        from webui.tabs import page

        gradio.mount_gradio_app(served, page.build(runtime), path="/", **page.mount_options(runtime))
    return served


def guarded(application: Any, accounts: Accounts, settings: Settings) -> Any:
    """The application behind the gate. Preflight questions of browsers, which carry no login, are answered before it."""
    from starlette.middleware.cors import CORSMiddleware

    from webui.gate.gate import Gate

    origins = _words(settings.cors_origins)
    gate = Gate(
        application,
        accounts,
        hosts=_words(settings.trusted_hosts),
        origins=origins,
        max_body=settings.max_upload_mb * 2**20,
    )
    if not origins:
        return gate
    return CORSMiddleware(
        gate, allow_origins=origins, allow_credentials=True, allow_methods=["*"], allow_headers=["*"], max_age=600
    )


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _certificate(settings: Settings) -> dict[str, Any]:
    """What uvicorn wants to know for HTTPS; nothing for plain HTTP. A file that is missing or no certificate is told now."""
    if settings.tls is None:
        return {}
    certificate, key = settings.tls
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise InvalidSettings(
            f"HTTPS cannot be served with tls_cert {certificate} and tls_key {key}: {reason}. Both must be PEM files that "
            "belong together."
        ) from error
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


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


def url(host: str, port: int, is_tls: bool = False) -> str:
    """What to type into a browser on this computer."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if is_tls else 'http'}://{shown}:{port}"


def _announce(address: str, open_browser: bool) -> None:
    print(f"Lucid answers on {address}", flush=True)
    if open_browser and has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # it may wait for the browser


def has_screen() -> bool:
    """Whether a browser that is opened here would be seen: not in a container, over SSH or in a service."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and "SSH_CONNECTION" not in os.environ
