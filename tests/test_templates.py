"""The pattern language: parsed, printed back the same, never evaluated, and refused at the right character."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files
from prompt_lab.templates import Piece, Template, resolve
from prompt_lab.templates.options import OPTIONS, lower_first, rstrip_punctuation, upper_first
from prompt_lab.templates.pattern import Literal, SlotNode, parse, write

from samples import task

PAIR = ("text_a", "text_b")
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
SLOTS = st.builds(
    lambda name, argument, options: SlotNode(name, argument, tuple(options), 0),
    NAMES,
    st.none() | st.text("abc 1-:", max_size=4),
    st.lists(NAMES, max_size=2),
)
PATTERNS = st.lists(SLOTS.map(str) | st.text("ab {}.:好\n").map(lambda t: str(Literal(t))), max_size=6).map("".join)


def refused(make: Callable[[], object]) -> list[str]:
    """The lines of the error."""
    with pytest.raises(LabError) as error:
        make()
    return str(error.value).split("\n")


def pointed_at(lines: list[str], pattern: str) -> str:
    """The pattern from the character under the caret on."""
    assert lines[1] == f"  {pattern}"
    return pattern[lines[2].index("^") - 2 :]


class TestPattern:
    @given(PATTERNS)
    def test_a_pattern_is_printed_back_as_it_was_written(self, pattern: str) -> None:
        assert write(parse(pattern)) == pattern

    @given(st.text())
    def test_any_text_is_a_literal_once_its_braces_are_doubled(self, text: str) -> None:
        written = str(Literal(text))
        assert parse(written) == ((Literal(text),) if text else ())
        assert write(parse(written)) == written

    def test_nodes(self) -> None:
        assert parse("a {{b}} {text_a.lower_first.upper_first}c{soft:4 x}") == (
            Literal("a {b} "),
            SlotNode("text_a", None, ("lower_first", "upper_first"), 8),
            Literal("c"),
            SlotNode("soft", "4 x", (), 41),
        )

    def test_braces_may_touch_a_slot(self) -> None:
        assert parse("{{{a}}}") == (Literal("{"), SlotNode("a", None, (), 2), Literal("}"))

    @pytest.mark.parametrize(
        ("pattern", "rest"),
        [
            ("It {mask", "{mask"),
            ("It mask} was", "} was"),
            ("{text_a} {", "{"),
            ("{} x", "{} x"),
            ("a {1x}", "{1x}"),
            ("a {text_a.}", "{text_a.}"),
            ("a {text a}", "{text a}"),
            ("a {text_a!r}", "{text_a!r}"),
            ("a {text_a[0]}", "{text_a[0]}"),
            ("a {f()}", "{f()}"),
            ("{a{b}}", "{a{b}}"),
            ("{{a} b", "} b"),
        ],
    )
    def test_what_cannot_be_parsed_is_shown_at_its_character(self, pattern: str, rest: str) -> None:
        assert pointed_at(refused(lambda: parse(pattern)), pattern) == rest

    def test_the_caret_counts_columns_not_characters(self) -> None:
        lines = refused(lambda: parse("很好。\n{"))
        assert lines[1:] == ["  很好。 {", "         ^"]

    def test_nothing_is_evaluated(self, tmp_path: object) -> None:
        for pattern in ("{text_a.__class__}", "{text_a.__class__.__mro__}", "{__import__:os}"):
            refused(lambda p=pattern: Template(p, ("text_a",)))
        pieces = Template("{text_a} %s $x {{text_a}} {{__import__('os')}}", ("text_a",)).pieces(
            Example({"text_a": "{mask} {0}"})
        )
        assert pieces == [Piece("{mask} {0}", "field"), Piece(" %s $x {text_a} {__import__('os')}")]


class TestTemplate:
    def test_pieces_in_order(self) -> None:
        template = Template("{text_a.rstrip_punctuation}? {mask}, {sep}{text_b.lower_first}", PAIR)
        assert template.pieces(Example({"text_a": "So it is.", "text_b": "Good"})) == [
            Piece("So it is", "field"),
            Piece("? "),
            Piece("", "mask"),
            Piece(", "),
            Piece("", "sep"),
            Piece("good", "field"),
        ]
        assert str(template) == "{text_a.rstrip_punctuation}? {mask}, {sep}{text_b.lower_first}"
        assert template.has_mask
        assert template.literals == ("? ", ", ")

    def test_a_field_may_stand_twice_and_options_apply_from_left_to_right(self) -> None:
        template = Template("{text_a.lower_first.upper_first} {text_a}", ("text_a",))
        assert [p.text for p in template.pieces(Example({"text_a": "aB"}))] == ["AB", " ", "aB"]
        assert not template.has_mask

    @pytest.mark.parametrize(
        ("pattern", "rest", "says"),
        [
            ("{text_a} {mask} {mask}.", "{mask}.", "a second {mask}"),
            ("{text_a} {mask:2}", "{mask:2}", "{mask} takes no options and no argument"),
            ("{text_a} {mask.lower_first}", "{mask.lower_first}", "{mask} takes no options and no argument"),
            ("{text_a} {sep:x}", "{sep:x}", "{sep} takes no options and no argument"),
            ("{text_a:3} {mask}", "{text_a:3} {mask}", "the field 'text_a' takes no argument"),
            ("It {text_a.lowerfirst}", "{text_a.lowerfirst}", "Did you mean 'lower_first'"),
            ("{txt_a} {mask}", "{txt_a} {mask}", "Did you mean 'text_a'"),
            ("{text_a} {maks}", "{maks}", "Did you mean 'mask'"),
            ("{text_a} {text_b}", "{text_b}", "The task's fields are {text_a}."),
            ("{text_a} {zzz}", "{zzz}", "Known: mask, sep, soft, text_a."),
        ],
    )
    def test_what_the_task_lacks_is_shown_at_its_character(self, pattern: str, rest: str, says: str) -> None:
        lines = refused(lambda: Template(pattern, ("text_a",)))
        assert says in lines[0]
        assert pointed_at(lines, pattern) == rest

    @pytest.mark.parametrize("pattern", ["", "It was {mask}.", "{mask}{sep}"])
    def test_a_template_without_a_field_shows_the_model_nothing(self, pattern: str) -> None:
        assert (
            "shows the model no text: it needs a field, one of {text_a}, {text_b}"
            in refused(lambda: Template(pattern, PAIR))[0]
        )

    @pytest.mark.parametrize(
        ("pattern", "before"),
        [
            ("{text_a} It was {mask}.", " "),
            ("{text_a} ({mask})", "("),
            ("{mask} {text_a}", ""),
            ("{text_a}{sep}{mask}", ""),
            ("{text_a}{sep} {mask}", " "),
            ("{text_a}{mask}", None),
            ("{text_a}很{mask}。", "很"),
            ("{text_a}}}{mask}", "}"),
        ],
    )
    def test_what_stands_before_the_mask(self, pattern: str, before: str | None) -> None:
        assert Template(pattern, ("text_a",)).before_mask() == before

    @pytest.mark.parametrize(
        ("pattern", "ends"),
        [
            ("{text_a} It was {mask}", True),
            ("{text_a} It was {mask}.", True),
            ("{text_a}很{mask}。”", True),
            ("{text_a} It was {mask} )!\n", True),
            ("{text_a} It was {mask} film.", False),
            ("{text_a}很{mask}吗？", False),
            ("{text_a} {mask} 1", False),
            ("{mask}: {text_a}", False),
            ("{text_a} {mask}{sep}", False),
        ],
    )
    def test_only_punctuation_may_follow_a_last_mask(self, pattern: str, ends: bool) -> None:
        assert Template(pattern, ("text_a",)).ends_in_mask() is ends


class TestOptions:
    @pytest.mark.parametrize(
        ("text", "bare"),
        [
            ("It is.", "It is"),
            ("It is ?! ", "It is"),
            ("他说：“很好。”", "他说：“很好"),
            ("真的吗？！……", "真的吗"),
            ("（好）、，；", "（好"),
            ("¿Qué?", "¿Qué"),
            ("a.b", "a.b"),
            ("5 $", "5 $"),
            ("...", "..."),
            ("", ""),
        ],
    )
    def test_rstrip_punctuation(self, text: str, bare: str) -> None:
        assert rstrip_punctuation(text) == bare

    def test_first_letters(self) -> None:
        assert [lower_first(t) for t in ("The End", "ÄB", "", "好")] == ["the End", "äB", "", "好"]
        assert [upper_first(t) for t in ("the end", "äb", "", "好")] == ["The end", "Äb", "", "好"]

    def test_all_options_can_be_named(self) -> None:
        assert sorted(OPTIONS) == ["lower_first", "rstrip_punctuation", "upper_first"]


class TestResolve:
    OWN = Task(Files(), ("no", "yes"), {}, ("{text_a} {mask}", "{mask} {text_a}"), name="toy")

    def test_a_number_is_one_of_the_tasks_patterns(self) -> None:
        assert [str(resolve(i, self.OWN)) for i in (0, 1)] == list(self.OWN.templates)

    @pytest.mark.parametrize("number", [2, -1])
    def test_a_number_that_does_not_exist_shows_those_that_do(self, number: int) -> None:
        assert refused(lambda: resolve(number, self.OWN)) == [
            f"template {number} does not exist: task 'toy' has templates 0 to 1",
            "  0  {text_a} {mask}",
            "  1  {mask} {text_a}",
        ]

    def test_a_task_without_patterns(self) -> None:
        assert refused(lambda: resolve(0, task("no"))) == ["template 0 does not exist: task 'sample' has no templates"]

    def test_none_is_the_fields_alone(self) -> None:
        assert str(resolve("none", task("no"))) == "{text_a}"
        assert str(resolve("none", task("no", fields=PAIR))) == "{text_a}{sep}{text_b}"

    def test_a_pattern_is_taken_as_it_is(self) -> None:
        assert str(resolve("So {text_a}", self.OWN)) == "So {text_a}"
        assert "Did you mean 'text_a'" in refused(lambda: resolve("{text_c}", self.OWN))[0]
