import pytest

from webui.domain.prompt_plan import plan_prompt


def remarked(text, **how):
    return [text[remark.start : remark.end] for remark in plan_prompt(text, 20, **how).remarks]


@pytest.mark.parametrize(
    "text",
    [
        r"a (red:1.2) fox, [grey], ((blue)), \(animal\) BREAK",
        "a|b land and sea",
        "LAND and sea",
        "<lora:x:0.8> a < b > c <lora>",
        "[a:b:0.5] [c|d] [e:10] a AND b :0.8",
        "a # (comment",
        r"\[a:b:5\] \( \) \#",
        "[clock: noon]",
        "[{a|b}:c:5]",
    ],
)
def test_most_prompts_are_as_they_look(text):
    assert remarked(text) == []


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("(a", ["("]),
        ("[a", ["["]),
        ("a) b", [")"]),
        ("a]", ["]"]),
        ("a:1.5)", [")"]),
        ("(a:1.2.3)", ["1.2.3"]),
        ("# (\n# (\n<lora:x:1>(a", ["("]),
        ("(a AND b)", ["(", ")"]),
        ("a AND (b <wildcard:h>", ["(", "<wildcard:h>"]),
        ("x [a:b:c:5]", ["[a:b:c:5]"]),
        ("[a|b:5]", ["[a|b:5]"]),
        ("[a:b:x]", ["[a:b:x]"]),
        ("[a (b:c:d) e:f:3]", ["[a (b:c:d) e:f:3]"]),
        ("([b:a) c:5]", ["[b:a)"]),
        ("a [b:1.2]", ["[b:1.2]"]),
        ("photo: 1.5 ", [": 1.5"]),
        ("AND a", ["AND"]),
        ("a AND AND b", ["AND"]),
        ("a [<lora:x:1>:b:5] <lora:y:1> [<lora:z:1>|c]", ["<lora:x:1>", "<lora:z:1>"]),
    ],
)
def test_remarks_point_at_what_is_read_otherwise_than_it_looks(text, places):
    assert remarked(text) == places


def test_a_negative_prompt_has_words_where_a_prompt_has_networks():
    assert remarked("a AND b <lora:x:1> (", is_negative=True) == ["AND", "<lora:x:1>", "("]
    assert remarked("photo:1.5", is_negative=True) == []


def test_remarks_say_what_to_do():
    (remark,) = plan_prompt("a smile :)", 20).remarks
    assert remark.message == 'This ")" closes nothing: it is read as text. Write \\) if that is meant.'
    (remark,) = plan_prompt("[a:b:c:5]", 20).remarks
    assert remark.message == (
        "[a:b:c:5] is read as text, not as a schedule: it has more than two texts; "
        "write \\: for a colon that belongs to a text."
    )
