"""Virtual tokens in a template: how they are written, where they can be put, and what is refused."""

from typing import Any

import pytest
from test_templates import pointed_at, refused

from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.templates import Piece, Template, resolve

from samples import task

ONE = ("text_a",)
PAIR = ("text_a", "text_b")


class TestWritten:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("{soft}{text_a}", [(1, "", None)]),
            ("{text_a} {soft:3}", [(3, "", None)]),
            ("{text_a} {soft:It was} {mask}", [(0, "It was", " ")]),
            ("{text_a}{soft: It was }{mask}", [(0, "It was", None)]),
            ("{text_a}{sep}{soft:2}{soft:It}{mask}", [(2, "", None), (0, "It", None)]),
            ("{text_a} It was {mask}.", []),
        ],
    )
    def test_what_a_template_says_of_its_virtual_tokens(self, pattern: str, expected: list[Any]) -> None:
        made = Template(pattern, ONE)
        assert [(v.length, v.words, v.before if v.words else None) for v in made.virtual] == expected
        assert str(made) == pattern

    @pytest.mark.parametrize("slot", ["{soft:0}", "{soft:}", "{soft: }", "{soft:00}"])
    def test_no_virtual_token_at_all(self, slot: str) -> None:
        pattern = f"{{text_a}} is {slot} {{mask}}"
        lines = refused(lambda: Template(pattern, ONE))
        assert f"{slot} is no virtual token; write {{soft}}, {{soft:5}} or {{soft:some words}}" in lines[0]
        assert pointed_at(lines, pattern) == f"{slot} {{mask}}"

    def test_a_number_that_is_no_decimal_is_a_word(self) -> None:
        assert Template("{text_a}{soft:²}", ONE).virtual[0].words == "²"

    def test_it_takes_no_options(self) -> None:
        with pytest.raises(LabError, match=r"\{soft\} takes no options"):
            Template("{text_a}{soft:3.lower_first}", ONE)

    def test_it_is_no_text_and_no_mask(self) -> None:
        with pytest.raises(LabError, match="shows the model no text"):
            Template("{soft:5}", ONE)
        assert not Template("{text_a} {soft:5}", ONE).has_mask

    def test_pieces(self) -> None:
        made = Template("{soft:2}{text_a} {soft:It was} {mask}", ONE).pieces(Example({"text_a": "film"}))
        space, soft = Piece(" "), Piece("", "soft")
        assert made == [soft, Piece("film", "field"), space, Piece("It was", "soft"), space, Piece("", "mask")]


class TestWithVirtual:
    @pytest.mark.parametrize(
        ("pattern", "around", "length", "expected"),
        [
            ("It: {text_a} is {mask}", False, 3, "{soft:3}It: {text_a} is {mask}"),
            ("It: {text_a} is {mask}", True, 4, "It: {soft:2}{text_a}{soft:2} is {mask}"),
            ("It: {text_a} is {mask}", True, 5, "It: {soft:3}{text_a}{soft:2} is {mask}"),
            ("{text_a} is {mask}", True, 1, "{soft:1}{text_a} is {mask}"),
            ("{text_a}{sep}{text_b} {mask}", True, 3, "{soft:2}{text_a}{sep}{text_b}{soft:1} {mask}"),
            ("{text_a}{sep}{text_b} {mask}", False, 3, "{soft:3}{text_a}{sep}{text_b} {mask}"),
            ("{mask}{sep}{text_b}, {text_a}.", True, 2, "{mask}{sep}{soft:1}{text_b}, {text_a}{soft:1}."),
            ("{soft:It}{text_a} {{x}} {mask}", False, 2, "{soft:2}{soft:It}{text_a} {{x}} {mask}"),
        ],
    )
    def test_front_and_around(self, pattern: str, around: bool, length: int, expected: str) -> None:
        made = Template(pattern, PAIR).with_virtual(length, around=around)
        assert str(made) == expected
        assert sum(v.length for v in made.virtual) == length

    def test_the_template_itself_stays(self) -> None:
        plain = Template("{text_a} is {mask}", ONE)
        plain.with_virtual(3)
        assert (str(plain), plain.virtual) == ("{text_a} is {mask}", ())


class TestWithSoftWords:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("{text_a} It was {mask}.", "{text_a} {soft:It was} {mask}."),
            ("It was {mask}: {text_a}", "{soft:It was} {mask}: {text_a}"),
            ('{text_a} ("{mask}"), {text_b}? ', '{text_a} ("{mask}"), {text_b}? '),
            ("{text_a}  is,\n{mask} film.", "{text_a}  {soft:is,}\n{mask} {soft:film.}"),
            ("{soft:2} It {text_a}{sep}was {mask}", "{soft:2} {soft:It} {text_a}{sep}{soft:was} {mask}"),
            ("{text_a}很{mask}。", "{text_a}{soft:很}{mask}。"),
        ],
    )
    def test_words_become_slots_and_punctuation_is_left_alone(self, pattern: str, expected: str) -> None:
        made = Template(pattern, PAIR).with_soft_words()
        assert str(made) == expected
        assert str(made.with_soft_words()) == expected, "there is nothing left to soften"

    @pytest.mark.parametrize("words", ["5", "a {{b}}", "a {{b", "b}} c", "a.b"])
    def test_words_that_cannot_be_written_into_a_slot_are_refused(self, words: str) -> None:
        pattern = f"{{text_a}} {words} {{mask}}"
        with pytest.raises(LabError, match="cannot be made virtual tokens") as error:
            Template(pattern, ONE).with_soft_words()
        assert repr(pattern) in str(error.value), "it shows the pattern as it was written"


def test_the_template_called_mask() -> None:
    assert str(resolve("mask", task("no", "yes"))) == "{text_a} {mask}"
    assert str(resolve("mask", task("no", "yes", fields=PAIR))) == "{text_a}{sep}{text_b} {mask}"
    assert str(resolve("none", task("no", "yes", fields=PAIR))) == "{text_a}{sep}{text_b}"
