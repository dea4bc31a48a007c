"""How a prompt will be read, told before anything is drawn: its tokens, its texts in turn, and what is odd about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from webui.domain.chosen_prompts import choose_prompts
from webui.domain.comments import LEFT, comments
from webui.domain.located import MOST_REMARKS, Located, Remark
from webui.domain.network_tags import find_tags
from webui.domain.prompt_plan import PromptPlan, plan_prompt
from webui.domain.request import GenerationRequest
from webui.domain.styles import Style, apply_styles
from webui.domain.wildcards import resolve
from webui.engine.chunks import TokenCount, count_tokens
from webui.engine.embedding_words import EmbeddingWords
from webui.engine.token_view import SeenToken, see_tokens
from webui.engine.tokenizer import ClipTokenizer
from webui.jobs.named_files import embedding_candidates, texts_of
from webui.library.index import Library

MOST_TEXTS = 12  # that are shown of one prompt
MOST_CHUNKS = 20  # that are shown of one text


@dataclass(frozen=True)
class SeenText:
    """One of the texts of a prompt, the one that part ``part`` (from 1) has from step ``first`` to ``last``."""

    part: int
    weight: float
    first: int
    last: int
    chunks: tuple[tuple[SeenToken, ...], ...]
    more_chunks: int


@dataclass(frozen=True)
class SeenPrompt:
    """A prompt as it will be read.

    ``remarks`` are at places of what was typed. ``chosen`` is the prompt with styles and with the choices of one seed, None
    where that is what was typed. ``texts``, at most ``MOST_TEXTS``, are only there if they were asked for, and so is
    ``left_out``: comments and tags, of which the text encoder reads nothing.
    """

    count: TokenCount
    remarks: tuple[Remark, ...]
    chosen: str | None = None
    parts: int = 1
    texts: tuple[SeenText, ...] = ()
    more_texts: int = 0
    left_out: tuple[str, ...] = ()


def see_prompts(
    library: Library,
    tokenizer: ClipTokenizer,
    request: GenerationRequest,
    styles: tuple[Style, ...] = (),
    wildcards: Mapping[str, str] | None = None,
    *,
    in_full: bool = False,
) -> tuple[SeenPrompt, SeenPrompt]:
    """Prompt and negative prompt of a request, with these styles, as its first picture reads them. Never raises.

    A seed of -1, which nobody knows yet, chooses as 0 does.
    """
    prompts = apply_styles(request.prompt, request.negative_prompt, styles)
    files = wildcards or {}
    drawn = GenerationRequest(
        prompt=prompts[0], negative_prompt=prompts[1], seed=max(0, request.seed), emphasis=request.emphasis
    )
    chosen = choose_prompts(drawn, files).request
    positive, negative = (
        _seen(
            library, tokenizer, request, getattr(request, name), getattr(chosen, name), files, name != "prompt", in_full
        )
        for name in ("prompt", "negative_prompt")
    )
    return positive, negative


def _seen(
    library: Library,
    tokenizer: ClipTokenizer,
    request: GenerationRequest,
    typed: str,
    chosen: str,
    files: Mapping[str, str],
    is_negative: bool,
    in_full: bool,
) -> SeenPrompt:
    plan = plan_prompt(chosen, request.steps, old_timelines=request.old_timelines, is_negative=is_negative)
    texts = list(dict.fromkeys(texts_of(plan)))
    words = EmbeddingWords(embedding_candidates(library, texts), tokenizer)
    count = max((count_tokens(text, tokenizer, words) for text in texts), key=lambda count: count.tokens)
    remarks = _remarks(typed, files, is_negative)
    if not in_full:
        return SeenPrompt(count, remarks)
    return SeenPrompt(
        count,
        remarks,
        chosen if chosen != typed else None,
        len(plan.parts),
        tuple(islice(_texts(plan, request, tokenizer, words), MOST_TEXTS)),
        max(0, sum(len(part.stages) for part in plan.parts) - MOST_TEXTS),
        tuple(islice(_left_out(chosen, is_negative), MOST_REMARKS)),
    )


def _texts(
    plan: PromptPlan, request: GenerationRequest, tokenizer: ClipTokenizer, words: EmbeddingWords
) -> Iterator[SeenText]:
    for number, part in enumerate(plan.parts, 1):
        first = 1
        for stage in part.stages:
            chunks = see_tokens(stage.text, tokenizer, words, emphasis=request.emphasis)
            more = max(0, len(chunks) - MOST_CHUNKS)
            yield SeenText(number, part.weight, first, stage.end_step, chunks[:MOST_CHUNKS], more)
            first = stage.end_step + 1


def _remarks(typed: str, files: Mapping[str, str], is_negative: bool) -> tuple[Remark, ...]:
    remarks = [*plan_prompt(typed, steps=1, is_negative=is_negative).remarks]
    plain = Located.whole(typed).without(comments(typed), LEFT)
    remarks += [plain.remark(odd.start, odd.end, odd.message) for odd in resolve(plain.text, 0, files).remarks]
    return tuple(sorted(remarks, key=lambda remark: (remark.start, remark.end)))


def _left_out(text: str, is_negative: bool) -> Iterator[str]:
    spans = [*comments(text)]
    plain = Located.whole(text).without(spans, LEFT).text
    yield from (text[start:end].strip() for start, end in spans)
    if not is_negative:
        yield from (plain[start:end] for start, end in find_tags(plain))
