"""The compact table of tokens, and what the text model is asked."""

from __future__ import annotations

import torch

from webui.engine.tokenizer import ClipTokenizer
from webui.training.starter.compose import Motif
from webui.training.starter.latents import END, START, token_ids
from webui.training.starter.networks import text_model
from webui.training.starter.text_model import Questions, Vocabulary, answers, embed


def _vocabulary() -> Vocabulary:
    return Vocabulary(token_ids(["a red dog", "a blue cat"], ClipTokenizer()))


def test_ids_are_laid_out_as_stable_diffusion_wants_them() -> None:
    ids = token_ids(["a dog", ""], ClipTokenizer())
    assert ids.shape == (2, 77)
    assert ids[0, :4].tolist() == [START, 320, 1929, END]
    assert ids[1].tolist() == [START] + [END] * 76
    assert set(ids[0, 4:].tolist()) == {END}


def test_the_compact_table_reads_the_words_as_the_full_one() -> None:
    torch.manual_seed(0)
    model, ids = text_model(), token_ids(["a red cat"], ClipTokenizer())
    full = model(input_ids=ids).last_hidden_state
    vocabulary = _vocabulary()
    compact = vocabulary.compact(model.get_input_embeddings().weight.detach())
    model.set_input_embeddings(compact)
    assert torch.equal(embed(model, vocabulary, ids), full)
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(vocabulary.expand(compact.weight.detach())))
    assert torch.equal(model(input_ids=ids).last_hidden_state, full)


def test_all_unknown_words_share_a_row() -> None:
    vocabulary = _vocabulary()
    table = vocabulary.expand(vocabulary.compact(torch.randn(49408, 8)).weight.detach())
    giraffe, zebra = (token_ids([word], ClipTokenizer())[0, 1] for word in ("giraffe", "zebra"))
    assert giraffe != zebra
    assert torch.equal(table[giraffe], table[zebra])


def test_babble_adds_unknown_words_behind_the_caption() -> None:
    vocabulary, ids = _vocabulary(), token_ids(["a red dog"] * 64, ClipTokenizer())
    babbled = vocabulary.babble(ids, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(babbled[:, :4], ids[:, :4])
    added = (babbled != ids).sum(1)
    assert set(added.tolist()) == {1, 2, 3, 4}
    assert not set(babbled[babbled != ids].tolist()) & set(vocabulary.used.tolist())
    assert (babbled[:, -1] == END).all()
    assert torch.equal(vocabulary.babble(ids, 0.0, torch.Generator()), ids)


def test_the_questions_can_be_answered_from_the_words() -> None:
    """A text model learns in a few steps what its captions say; without their words it cannot."""
    torch.manual_seed(0)
    motifs = [Motif("dog", "red", "blue", style="noto"), Motif("cat", "green", "white", "on the left", style="noto")]
    ids = token_ids(["a red dog on a blue background", "a green cat on the left, white background"], ClipTokenizer())
    vocabulary, model, questions = Vocabulary(ids), text_model(), Questions()
    model.set_input_embeddings(vocabulary.compact(model.get_input_embeddings().weight.detach()))
    optimizer = torch.optim.AdamW([*model.parameters(), *questions.parameters()], lr=1e-3)
    right = answers(motifs)
    for _ in range(30):
        loss = questions.loss(embed(model, vocabulary, ids), ids, right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert questions.loss(embed(model, vocabulary, ids), ids, right) < 0.1
        assert questions.loss(embed(model, vocabulary, ids.flip(0)), ids.flip(0), right) > 1
