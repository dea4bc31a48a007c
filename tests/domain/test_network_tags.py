import pytest

from webui.domain.located import Located
from webui.domain.network_tags import cut_networks


def networks(text):
    rest, tags, _ = cut_networks(Located.whole(text))
    for tag in tags:
        assert text[tag.start] == "<" and text[tag.end - 1] == ">"
    return rest.text, [(tag.kind, tag.name, tag.te, tag.unet, tag.dyn) for tag in tags]


def test_tags_are_cut_out():
    assert networks("a <lora:x:0.8> b") == ("a  b", [("lora", "x", 0.8, 0.8, None)])
    assert networks("<lora:a:1><lora:b:1>") == ("", [("lora", "a", 1, 1, None), ("lora", "b", 1, 1, None)])
    assert networks("<hypernet:h:0.7>") == ("", [("hypernet", "h", 0.7, 0.7, None)])
    assert networks("<lyco:x:1>") == ("", [("lora", "x", 1, 1, None)])


@pytest.mark.parametrize("text", ["<lora:>", "<lora>", "<lora:x:0.8", "a < b > c", "<:x>", "<>"])
def test_what_is_no_tag_stays(text):
    assert networks(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("<unknown:x:1>", "<lora:…>"),
        ("<Lora:x:1>", "Did you mean <lora:…>?"),
        ("<wildcard:x>", "__name__"),
        ("<embed:x:1>", "or the name alone"),
        ("<lora: >", "names no file"),
        ("<lora:te=1>", "names no file"),
    ],
)
def test_a_tag_that_loads_nothing_is_cut_out_and_named(text, advice):
    rest, tags, (remark,) = cut_networks(Located.whole(f"a {text}"))
    assert (rest.text, tags) == ("a ", ())
    assert (remark.start, remark.end) == (2, 2 + len(text))
    assert text in remark.message and advice in remark.message


ARGUMENTS = [  # as A1111 1.10 reads them
    ("x", (1, 1, None)),
    ("x:0.8", (0.8, 0.8, None)),
    ("x:0.8:0.5", (0.8, 0.5, None)),
    ("x:te=0.8", (0.8, 0.8, None)),
    ("x:unet=0.5", (1, 0.5, None)),
    ("x:te=0.2:unet=0.9", (0.2, 0.9, None)),
    ("x:0.7:unet=0.1", (0.7, 0.1, None)),
    ("x:0:1", (0, 1, None)),
    ("x:-0.5", (-0.5, -0.5, None)),
    ("x:0.8:0.5:4", (0.8, 0.5, 4)),
    ("x:0.8:dyn=4", (0.8, 0.8, 4)),
]


@pytest.mark.parametrize(("arguments", "strengths"), ARGUMENTS)
def test_arguments(arguments, strengths):
    assert networks(f"<lora:{arguments}>") == ("", [("lora", "x", *strengths)])


@pytest.mark.parametrize(
    ("arguments", "strengths", "says"),
    [
        ("x:much", (1, 1, None), "'much' is not a number, so it is 1"),
        ("x:", (1, 1, None), "'' is not a number"),
        ("x:nan:2", (1, 2, None), "'nan' is not a number"),
        ("x:0.5:0,8", (0.5, 0.5, None), "'0,8' is not a number, so it is 0.5"),
        ("x:1:1:0", (1, 1, None), "ranks '0'"),
        ("x:1:dyn=2.5", (1, 1, None), "ranks '2.5'"),
        ("x:1:1:4:5", (1, 1, 4), "'5' means nothing here"),
        ("x:1:lbw=A", (1, 1, None), "'lbw=A' means nothing here"),
    ],
)
def test_arguments_that_a1111_fails_on_are_named(arguments, strengths, says):
    _, (tag,), (remark,) = cut_networks(Located.whole(f"<lora:{arguments}>"))
    assert (tag.te, tag.unet, tag.dyn) == strengths
    assert says in remark.message


def test_a_name_may_hold_anything_else():
    assert networks("<lora:Détail_v1.2 (final), 2:0.5>")[1] == [("lora", "Détail_v1.2 (final), 2", 0.5, 0.5, None)]
