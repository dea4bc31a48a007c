import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from webui.engine.tokenizer import CLIP_MERGES, COMMA_TOKEN, END_TOKEN, START_TOKEN, ClipTokenizer, clean, read_merges
from webui.errors import UnreadableModel

ORDINARY = [
    "",
    " ",
    "a photo of a cat",
    "masterpiece, best quality, 1girl",
    "A  PHOTO\n\tof, a   CAT ,,",
    "it's we're I'll don't 'tis",
    "1920s, f/1.8, 35mm, (highly detailed:1.2), [blurry], <lora:x:0.8>, __wild__",
    "supercalifragilisticexpialidocious",
    "日本語",
    "猫耳の女の子、青い髪",
    "🙂 👩‍👩‍👧 🇫🇷",
    "Crème brûlée à la façon de l'été",
    "e\u0301cole",
    "Дом на холме",
    "पानी",
    "…—·",
    "a<|endoftext|>b",
]


@pytest.fixture(scope="module")
def tokenizer():
    return ClipTokenizer()


@pytest.fixture(scope="module")
def reference(tokenizer):
    """transformers' tokenizer of the same merges and of the vocabulary that CLIP's authors number by them."""
    merges = read_merges(CLIP_MERGES)
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = [chr(byte) for byte in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    symbols = [*alphabet, *(letter + "</w>" for letter in alphabet), *(a + b for a, b in merges)]
    vocab = {symbol: n for n, symbol in enumerate([*symbols, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges)


def reference_ids(reference, text):
    return reference(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("text", ORDINARY)
def test_equals_transformers_on_ordinary_text(tokenizer, reference, text):
    assert tokenizer.encode(text) == reference_ids(reference, text)


@settings(max_examples=300, deadline=None)
@given(st.text())
@example("<|ENDOFTEXT|>")
@example("Straße İstanbul ΟΔΟΣ")
@example("\x00\x1b[1m\ud800")
def test_equals_transformers_on_any_text_in_its_plain_form(tokenizer, reference, text):
    assert tokenizer.encode(text) == reference_ids(reference, clean(text))


def test_known_numbers(tokenizer):
    assert tokenizer.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert tokenizer.encode(",") == [COMMA_TOKEN] == [267]
    assert tokenizer.encode("<|startoftext|><|endoftext|>") == [START_TOKEN, END_TOKEN] == [49406, 49407]


@pytest.mark.parametrize(("text", "count"), [("日本語", 4), ("🙂", 1), ("supercalifragilisticexpialidocious", 9)])
def test_number_of_tokens(tokenizer, text, count):
    assert len(tokenizer.encode(text)) == count


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("a “red” fox’s den", 'a "red" fox\'s den'),
        ("ｆｏｘ，ｄｅｎ", "fox,den"),
        ("ﬁre &amp; ﬂame", "fire & flame"),
        ("cafe\u0301", "café"),
        ("a\u2028b\u00a0c", "a b c"),
    ],
)
def test_typography_counts_as_plain_text(tokenizer, written, plain):
    assert tokenizer.encode(written) == tokenizer.encode(plain)


def test_tokens_show_where_words_are_cut(tokenizer):
    shown = [token.text for token in tokenizer.tokens("A Shiba-Inu, 42")]
    assert shown == ["a", "shi", "ba", "-", "in", "u", ",", "4", "2"]
    assert [token.text for token in tokenizer.tokens("<|endoftext|>")] == ["<|endoftext|>"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])))
@settings(deadline=None)
def test_tokens_and_numbers_agree(tokenizer, text):
    tokens = tokenizer.tokens(text)
    assert [token.id for token in tokens] == tokenizer.encode(text)
    if "�" not in "".join(token.text for token in tokens):
        assert "".join(token.text for token in tokens) == clean(text).replace(" ", "")


def test_a_missing_or_broken_vocabulary_is_named(tmp_path):
    missing, broken = tmp_path / "none.txt", tmp_path / "merges.txt"
    broken.write_text("#version: 0.2\nin th is\n")
    for path in (missing, broken):
        with pytest.raises(UnreadableModel, match=path.name):
            ClipTokenizer(path).encode("a")


def test_importing_it_loads_neither_torch_nor_transformers():
    code = "import sys, webui.engine.tokenizer; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
