"""The page: models on top, one tab after another below. ``TABS`` is the list of tabs; a new one is a file and its row.

A tab is a module with ``NAME`` (for programs), ``TITLE`` (for people) and ``build(runtime, models)``. The browser builds the
pieces of a tab when it is first opened; what must work before that stands beside the tabs.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from webui.runtime import Runtime
from webui.tabs import (
    cards,
    endpoints,
    extras,
    history,
    img2img,
    inpaint,
    models,
    png_info,
    prompt_tools,
    queue,
    txt2img,
)
from webui.tabs.components import asset, widget_html
from webui.tabs.pictures import OnlyOwnFiles, routes

TABS = (txt2img, img2img, inpaint, extras, png_info, history, queue)
TITLE = "Lucid"

_SCRIPTS = (
    *("shell.js", "form.js", "sampling.js", "stage.js", "jobs.js", "results.js", "history.js", "png_info.js"),
    "queue.js",
    *("prompt_notes.js", "prompt_styles.js", "prompt_complete.js"),
    *("card_details.js", "cards.js"),
    *("send_to.js", "editor_layers.js", "editor_store.js", "editor_view.js", "editor_gestures.js", "editor_tools.js"),
    *("picture_editor.js", "picture_fields.js", "picture_batch.js", "depth_map.js", "extras.js", "hires.js"),
)
_STYLES = (
    "page.css",
    "sampling.css",
    "results.css",
    "prompt.css",
    "picture_editor.css",
    "cards.css",
    "picture_batch.css",
    "extras.css",
    "hires.css",
    "queue.css",
)
_FONTS = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "Noto Sans", "sans-serif")
_MONOSPACE = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
_UPLOADS_KEPT = 3600  # seconds; Gradio's own copies of files that were sent to it


def build(runtime: Runtime) -> gr.Blocks:
    """The whole page for one runtime. Serve it with :func:`mount_options`."""
    with gr.Blocks(
        title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=(_UPLOADS_KEPT, _UPLOADS_KEPT)
    ) as blocks:
        with gr.Row(elem_id="top", elem_classes="top"):
            widget_html(asset("brand.html"), "brand", "")
            with gr.Row(elem_classes="models"):
                bar = models.build(runtime)
            widget_html(asset("account.html"), "account", "lucid.account(element)")
            widget_html(asset("theme.html"), "theme", "lucid.theme(element)")
        bar = cards.build(runtime, bar)
        with gr.Tabs(elem_id="tabs"):
            for tab in TABS:
                with gr.Tab(tab.TITLE, id=tab.NAME, elem_id=f"tab-{tab.NAME}"):
                    tab.build(runtime, bar)
        png_info.build_reader(runtime)
        prompt_tools.build(runtime)
        endpoints.build(runtime)
    return blocks


def mount_options(runtime: Runtime) -> dict[str, Any]:
    """What ``gr.mount_gradio_app`` must be told besides the application, the blocks and the path.

    Nothing is asked of other servers (fonts, scripts, telemetry), and no file but the asker's pictures is served.
    """
    scripts, styles = ("\n".join(asset(name) for name in names) for names in (_SCRIPTS, _STYLES))
    return {
        "theme": _theme(),
        # not as "css": Gradio would put its own class before each selector, which our media queries do not survive
        "head": f"<style>{styles}</style><script>{scripts}</script>",
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "enable_monitoring": False,
        "allowed_paths": [],
        "show_error": False,
        "max_file_size": "64mb",
        "app_kwargs": {"routes": [*routes(runtime), *cards.routes(runtime)], "middleware": [Middleware(OnlyOwnFiles)]},
    }


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        secondary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=_FONTS,
        font_mono=_MONOSPACE,
    )
    return theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
    )
