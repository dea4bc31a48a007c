"""The page's endpoint for programs that use Gradio's own client.

    client = gradio_client.Client("http://127.0.0.1:7860")
    told = client.predict("a panda on a pink background", parameters={"seed": 7}, api_name="/txt2img")
    png = httpx.get(f"{client.src}{told['pictures'][0]['address']}").content

The events of the page itself are not offered: what they take is the state of its widgets. All else that programs can do is in
the HTTP API.
"""

from __future__ import annotations

import gradio as gr

from webui.domain.request import from_dict
from webui.errors import WebUIError
from webui.runtime import Runtime
from webui.tabs.components import owner_of
from webui.tabs.streaming import shown

NAME = "txt2img"


def build(runtime: Runtime) -> None:
    """Call it inside ``gr.Blocks``."""

    def draw(
        prompt: str,
        negative_prompt: str = "",
        parameters: dict | None = None,  # type: ignore[type-arg]  # Gradio reads the annotation, and knows only a plain dict
        request: gr.Request = None,  # type: ignore[assignment]  # Gradio fills it in
    ) -> dict:  # type: ignore[type-arg]
        """Draw pictures and wait for them. ``parameters`` are those of docs/parameters.md, by name; the rest suits the checkpoint.

        The answer is the job: its "pictures" with address, seed, size and infotext, and its "notices".
        """
        try:
            given = {**(parameters or {}), "prompt": prompt, "negative_prompt": negative_prompt}
            suggested = runtime.checkpoint(str(given.get("checkpoint", ""))).suggested
            wish = from_dict({**suggested, **given})
            told = shown(runtime.generate(wish, owner_of(request)).wait())
        except WebUIError as error:
            raise gr.Error(str(error)) from error
        except TypeError as error:
            raise gr.Error("The parameters must be names with values.") from error
        if told["state"] == "failed":
            raise gr.Error(told["error"])
        return told

    gr.api(draw, api_name=NAME, concurrency_limit=None)
