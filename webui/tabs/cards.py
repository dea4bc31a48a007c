"""Cards: a drawer that shows the models, LoRAs, embeddings and hypernetworks, to be looked through and clicked into the prompt.

The browser shows few cards at once and asks for those that come into sight (``assets/cards.js``), so that a drawer of ten
thousand files opens as quickly as one of ten. A card goes by an id; where its file lies on the disk is told to nobody.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any
from urllib.parse import unquote

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webui.accounts.asker import account_of
from webui.domain.infotext_grammar import compose
from webui.errors import InvalidRequest, NotAllowed, WebUIError
from webui.runtime import Card, CardQuery, Runtime
from webui.tabs.components import asset, owner_of, widget_html
from webui.tabs.models import ModelBar
from webui.tabs.pictures import FOLDER as PICTURES

FOLDER = "cards"
BADGES = {"sd1": "SD1", "sd2": "SD2", "sdxl": "SDXL", "sdxl-refiner": "Refiner", "sd3": "SD3", "flux": "Flux"}
_WORDS_SHOWN = 6
_PROBLEMS_SHOWN = 500
_LONGEST_BADGE = 12


def build(runtime: Runtime, models: ModelBar) -> ModelBar:
    """The drawer, closed. Returns the model bar with what happens when a card chooses a checkpoint."""

    def look(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return looked(runtime, asked, _may_change(request))

    def details(asked: dict[str, Any]) -> dict[str, Any]:
        return _told(lambda: {"card": described(runtime, runtime.cards.card(str(asked.get("id"))))})

    def save(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return _told(lambda: {"card": described(runtime, _with_notes(runtime, asked, request))})

    def take_preview(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return _told(lambda: {"card": described(runtime, _with_preview(runtime, asked, request))})

    def convert(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return _told(lambda: converted(runtime, asked, may_change=_may_change(request)))

    def rescan(asked: dict[str, Any]) -> dict[str, Any]:
        runtime.rescan()
        return {}

    drawer = widget_html(
        asset("cards.html"),
        "cards",
        "lucid.cardDrawer(element, server, trigger) // 'checkpoint' 'vae'",
        server_functions=[look, details, save, take_preview, convert, rescan],
    )
    chosen = drawer.checkpoint(fn=None, js="() => lucid.cards.chosen", outputs=models.checkpoint, queue=False)
    drawer.vae(fn=None, js="() => lucid.cards.chosen", outputs=models.vae, queue=False)
    return dataclasses.replace(models, chosen=chosen)


def looked(runtime: Runtime, asked: dict[str, Any], sees_disk: bool = False) -> dict[str, Any]:
    """Some cards and how many there are; the folders too, where the browser has not seen this look at them (``seen``).

    ``sees_disk``: the asker is also told of folders that cannot be looked at, which names them.
    """
    kind = str(asked.get("kind") or "lora")
    query = CardQuery(
        kind=kind,
        text=str(asked.get("text") or ""),
        sort=str(asked.get("sort") or "name"),
        folder=str(asked.get("folder") or ""),
        family=_family(runtime, str(asked.get("checkpoint") or "")),
        fitting=asked.get("fitting") is True,
        offset=_number(asked.get("offset")),
        count=_number(asked.get("count")),
    )
    page = runtime.cards.page(query)
    seen = [kind, page.progress.version]
    answer: dict[str, Any] = {
        "cards": [shown(card, query.family) for card in page.cards],
        "matching": page.matching,
        "total": page.total,
        "seen": seen,
        "done": page.progress.done,
        "files": page.progress.total,
    }
    if asked.get("seen") != seen:
        answer["folders"] = runtime.cards.folders(kind)
        answer["problems"] = runtime.cards.problems(sees_disk)[:_PROBLEMS_SHOWN]
    return answer


def shown(card: Card, family: str) -> dict[str, Any]:
    """A card as the browser draws it, and what a click puts into the prompts."""
    file, about = card.file, card.file.about
    stamp = card.found.preview_stamp
    base = str(about.get("base", ""))
    return {
        "id": card.id,
        "kind": file.kind,
        "name": file.name,
        "title": about.get("title", ""),
        "folder": card.folder,
        "badge": BADGES.get(card.family, base if len(base) <= _LONGEST_BADGE else ""),
        "problem": file.problem or card.misfit(family),
        "usable": not file.problem,
        "preview": f"{FOLDER}/{card.id}?v={stamp[0]:x}" if stamp else "",
        "words": list(about.get("words", ()))[:_WORDS_SHOWN],
        **inserted(card),
    }


def inserted(card: Card) -> dict[str, str]:
    """``tag``: what stands in the prompt when it is used; ``text``: that with the user's words; ``negative``: words against it."""
    file, about = card.file, card.file.about
    weight = about.get("preferred_weight") or 1
    tags = {
        "lora": f"<lora:{file.name.replace(':', '')}:{weight:g}>",
        "hypernetwork": f"<hypernet:{file.name.replace(':', '')}:{weight:g}>",
        "embedding": file.name if weight == 1 else f"({file.name}:{weight:g})",
    }
    tag = tags.get(file.kind, "")
    more = str(about.get("activation_text", "")) if tag else ""
    return {"tag": tag, "more": more, "negative": str(about.get("negative_text", "")) if tag else ""}


def described(runtime: Runtime, card: Card) -> dict[str, Any]:
    """Everything that is known of a card's file."""
    file, about = card.file, card.file.about
    try:
        metadata = runtime.cards.metadata(card.id)
    except WebUIError:  # the card itself tells of it
        metadata = {}
    facts = {
        "File": card.found.path.name,
        "Folder": card.folder,
        "Size": _size(file.size),
        "Changed": time.strftime("%Y-%m-%d %H:%M", time.localtime(file.mtime_ns / 1e9)),
        "Made for": str(about.get("base", "")),
        "Author": str(about.get("author", "")),
        "Name at training": str(about.get("alias", "")),
        "SHA-256": runtime.library.known_hash(file),
        "Hash in pictures": str(about.get("tensor_hash", "") or runtime.library.known_lora_hash(file))[:12],
    }
    notes = ("description", "activation_text", "negative_text", "preferred_weight", "notes")
    return {
        **shown(card, "unknown"),
        "words": list(about.get("words", ())),
        "tags": list(about.get("tags", ())),
        "facts": {name: value for name, value in facts.items() if value},
        "notes": {name: about.get(name, "") for name in notes},
        "metadata": metadata,
        "convertible": runtime.cards.is_convertible(card),
    }


def converted(runtime: Runtime, asked: dict[str, Any], *, may_change: bool) -> dict[str, Any]:
    """Begin to convert a pickle (``begin``), or tell how far that is."""
    card_id, begin = str(asked.get("id")), asked.get("begin") is True
    if begin and not may_change:
        raise NotAllowed("Only an administrator may convert models.")
    state = runtime.cards.convert(card_id) if begin else runtime.cards.conversion(card_id)
    if state is None:
        return {}
    return {"fraction": state.fraction, "name": state.name} | ({"error": state.error} if state.error else {})


def routes(runtime: Runtime) -> list[Route]:
    """Small previews, by the id of the card."""

    def preview(request: Request) -> Response:
        side = {"large": 768}.get(request.query_params.get("size", ""), 256)
        try:
            data = runtime.cards.preview(request.path_params["id"], side)
        except WebUIError:
            return Response("There is no such preview.", status_code=404, media_type="text/plain")
        # its address changes with the picture
        return Response(
            data, media_type="image/webp", headers={"Cache-Control": "private, max-age=31536000, immutable"}
        )

    return [Route(f"/{FOLDER}/{{id:str}}", preview, methods=["GET", "HEAD"])]


def _with_notes(runtime: Runtime, asked: dict[str, Any], request: gr.Request) -> Card:
    _check_right(request)
    notes = asked.get("notes")
    return runtime.cards.write_notes(str(asked.get("id")), notes if isinstance(notes, dict) else {})


def _with_preview(runtime: Runtime, asked: dict[str, Any], request: gr.Request) -> Card:
    """One of the asker's own pictures as preview, by the address that the page shows it under."""
    _check_right(request)
    path = unquote(str(asked.get("address")).split("?")[0].removeprefix(f"{PICTURES}/"))
    if not runtime.history.made(owner_of(request), path):
        raise InvalidRequest("That picture is not in the outputs folder any more.")
    data = runtime.outputs.resolve(path).read_bytes()
    told = runtime.read_infotext(data)
    return runtime.cards.set_preview(str(asked.get("id")), data, compose(told) if told else "")


def _may_change(request: gr.Request) -> bool:
    account = account_of(request.scope)
    return account is None or account.is_admin


def _check_right(request: gr.Request) -> None:
    if not _may_change(request):
        raise NotAllowed("Only an administrator may change what is written about the models.")


def _family(runtime: Runtime, checkpoint: str) -> str:
    try:
        return runtime.checkpoint(checkpoint).family
    except WebUIError:
        return "unknown"


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _told(act: Any) -> dict[str, Any]:
    """Do it; an error for the user becomes a sentence to show."""
    try:
        answer: dict[str, Any] = act()
    except WebUIError as error:
        return {"error": str(error)}
    return answer


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
