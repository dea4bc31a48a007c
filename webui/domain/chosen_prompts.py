r"""What the seed makes of the prompts of one picture: its choices made, and what was written beside them.

The prompt that results is a plain one. Read again, from the picture's infotext, it chooses nothing more: what is left in it of
the signs, ``__colour__`` where there is no such file for instance, is written ``\__colour__``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from webui.domain.comments import strip_comments
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.variants import read_template
from webui.domain.wildcards import resolve

SECOND_STREAM = 2**64  # so that {a|b} in the negative prompt does not choose the same as in the prompt

# prompt -> the key under which an infotext keeps what was written, as the Dynamic Prompts extension has it, and what is
# added to the seed: a second pass should choose as the first one did
TEMPLATES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "prompt": ("Template", 0),
        "negative_prompt": ("Negative Template", SECOND_STREAM),
        "hires_prompt": ("Hires Template", 0),
        "hires_negative_prompt": ("Hires Negative Template", SECOND_STREAM),
    }
)
PROMPTS = tuple(name for name in TEMPLATES if name in PARAMETERS)

_SIGNS = re.compile(r"(?P<kept>\\.|<\w+:[^>]+>)|\{|__", re.DOTALL)


@dataclass(frozen=True)
class ChosenPrompts:
    """The request of one picture with plain prompts.

    ``templates`` are further fields for the picture's infotext; empty where there was nothing to choose.
    """

    request: GenerationRequest
    templates: Mapping[str, str]
    remarks: tuple[str, ...] = ()


def choose_prompts(request: GenerationRequest, files: Mapping[str, str]) -> ChosenPrompts:
    """Make the choices in the prompts of a request of one picture. ``files`` as in :func:`webui.domain.wildcards.resolve`.

    Comments go first, so that nothing is chosen in them; a prompt without choices stays as it was written.
    """
    changes: dict[str, str] = {}
    templates: dict[str, str] = {}
    remarks: list[str] = []
    for name in PROMPTS:
        key, stream = TEMPLATES[name]
        written: str = getattr(request, name)
        plain = strip_comments(written)
        resolved = resolve(plain, request.seed + stream, files)
        remarks += [remark.message for remark in resolved.remarks]
        text = resolved.text if request.emphasis == "None" else without_choices(resolved.text)
        if resolved.template is not None and text != plain:
            changes[name] = text
            templates[key] = written
    return ChosenPrompts(replace(request, **changes), templates, tuple(dict.fromkeys(remarks)))  # type: ignore[arg-type]


def without_choices(prompt: str) -> str:
    r"""The prompt with a backslash before what would be a choice, and which the attention grammar drops.

    >>> without_choices("a __colour__ {red|blue} <lora:a__b__c:1>")
    'a \\__colour\\__ \\{red|blue} <lora:a__b__c:1>'
    """
    if all(isinstance(item, str) for item in read_template(prompt)):
        return prompt
    return _SIGNS.sub(lambda found: found[0] if found["kept"] else "\\" + found[0], prompt)
