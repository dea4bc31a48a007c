"""The text model: words to embeddings. It learns to tell its words apart before the noise predictor listens to it.

Trained together from the start, the two fall into a trap: embeddings that do not yet differ are ignored, and what is
ignored does not learn to differ. So the text model first answers questions about what its captions say (what is shown, in
what colour, where, on which ground ...), and goes on answering them beside the diffusion loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from webui.training.starter.compose import Motif
from webui.training.starter.latents import END, START
from webui.training.starter.networks import TEXT_WIDTH
from webui.training.starter.vocabulary import COLOURS, COUNTS, PLACES, SCENES, SHAPES, THINGS

_ANSWERS: dict[str, tuple[str, ...]] = {
    "subject": (*SHAPES, *(thing.name for thing in THINGS)),
    "colour": ("", *COLOURS),
    "ground": (*COLOURS, *SCENES),
    "place": ("", *PLACES),
    "size": ("", "small", "large"),
    "count": ("", *COUNTS),
}


def answers(motifs: Sequence[Motif]) -> Tensor:
    """(n, 6): for every question the number of the right answer."""
    numbers = {question: {word: i for i, word in enumerate(words)} for question, words in _ANSWERS.items()}
    rows = []
    for motif in motifs:
        said = {question: getattr(motif, question) for question in _ANSWERS}
        said["subject"] = motif.subject if motif.is_shape else motif.thing.name
        rows.append([numbers[question][word] for question, word in said.items()])
    return torch.tensor(rows)


class Questions(nn.Module):
    """Linear answers from the state at the end of the text and the mean state."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(2 * TEXT_WIDTH, len(words)) for words in _ANSWERS.values()])

    def loss(self, states: Tensor, ids: Tensor, right: Tensor) -> Tensor:
        """Mean cross entropy. ``states`` (n, 77, 128), ``ids`` (n, 77), ``right`` (n, 6)."""
        end = (ids == END).int().argmax(1)
        read = torch.cat([states[torch.arange(len(ids)), end], states.mean(1)], 1)
        losses = [F.cross_entropy(head(read), right[:, i]) for i, head in enumerate(self.heads)]
        return torch.stack(losses).mean()


class Vocabulary:
    """The tokens that captions use, and one row that stands for all others.

    Of CLIP's 49,408 token rows about 500 are ever used. Training only these is quicker; and that all others share a row
    which was trained to be passed over makes an unknown word harmless, where an untrained row would be noise.
    """

    def __init__(self, tokens: Tensor, size: int = 49408) -> None:
        self.used = torch.unique(torch.cat([tokens.reshape(-1), torch.tensor([START, END], dtype=tokens.dtype)])).long()
        self.size = size
        self.row_of = torch.full((size,), len(self.used))
        self.row_of[self.used] = torch.arange(len(self.used))
        is_known = torch.zeros(size, dtype=torch.bool)
        is_known[self.used] = True
        self.unknown = (~is_known).nonzero()[:, 0]

    def compact(self, full: Tensor) -> nn.Embedding:
        """A table of the used rows of ``full`` (size, width) and one for the rest: what these are on average."""
        table = nn.Embedding(len(self.used) + 1, full.shape[1])
        with torch.no_grad():
            table.weight[:-1] = full[self.used]
            table.weight[-1] = full[self.unknown].mean(0)
        return table

    def expand(self, table: Tensor) -> Tensor:
        """The inverse: (size, width)."""
        return table[self.row_of]

    def babble(self, ids: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """The ids with up to four unknown tokens put before the end of a ``share`` of the rows."""
        ids = ids.clone()
        ends = (ids == END).int().argmax(1)
        for row in (torch.rand(len(ids), generator=generator) < share).nonzero()[:, 0].tolist():
            count = int(torch.randint(1, 5, (1,), generator=generator))
            end = int(ends[row])
            picks = torch.randint(len(self.unknown), (count,), generator=generator)
            ids[row, end : end + count] = self.unknown[picks][: 76 - end].to(ids.dtype)
        return ids


def embed(model: CLIPTextModel, vocabulary: Vocabulary, ids: Tensor) -> Tensor:
    """(n, 77, 128) from ids (n, 77), for a model that has the compact table."""
    states: Tensor = model(input_ids=vocabulary.row_of[ids.long()]).last_hidden_state
    return states
