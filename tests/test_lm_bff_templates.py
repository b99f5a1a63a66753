"""LM-BFF's own template strings: read as patterns, to the same tokens as its own procedure gives, refused where they cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_lab import settings
from prompt_lab.batch import Example
from prompt_lab.data.encoding import Encoder
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files
from prompt_lab.templates import resolve
from prompt_lab.templates.lm_bff import translated

import runs
from samples import reader, task, tokenizer

PAIR = ("text_a", "text_b")
WAS = "*cls**sent_0*_It_was*mask*.*sep+*"
IS = "*cls**sent_0*_This_is*mask*.*sep+*"
ASKED = "*cls**sent-_0*?*mask*,*+sentl_1**sep+*"
SAME = "*cls**sent_0**mask*,*+sentl_1**sep+*"
FIRST = "*cls**mask*:*+sent_0**sep+*"
MANUAL = {
    **dict.fromkeys(("SST-2", "sst-5", "mr", "cr", "mpqa"), (WAS, "{text_a} It was {mask}.")),
    **dict.fromkeys(("subj", "CoLA"), (IS, "{text_a} This is {mask}.")),
    "trec": (FIRST, "{mask}: {text_a}"),
    **dict.fromkeys(
        ("MNLI", "SNLI", "QNLI", "RTE"), (ASKED, "{text_a.rstrip_punctuation}? {mask}, {text_b.lower_first}")
    ),
    **dict.fromkeys(("MRPC", "QQP", "STS-B"), (SAME, "{text_a} {mask}, {text_b.lower_first}")),
}
"""Its manual templates, by its names of the tasks (Gao et al. 2021, table 1)."""


def tokens(family: str, template: str, *texts: str) -> list[str]:
    """What is read of some texts."""
    fields = PAIR[: len(texts)]
    of = Task(Files(), ("no", "yes"), {}, (), fields)
    read = reader(family)
    encoder = Encoder(resolve(template, of), read.plan([(20,)]), read, 100)
    row = encoder.encode([Example(dict(zip(fields, texts, strict=True)))])[0].rows[0]
    return tokenizer(family).convert_ids_to_tokens(row.input_ids)


def stretch(text: str) -> list[str]:
    """A stretch of a template on its own, as LM-BFF tokenises it."""
    return tokenizer("roberta").tokenize(text)


@pytest.mark.parametrize("name", MANUAL)
def test_manual_templates(name: str) -> None:
    given, pattern = MANUAL[name]
    assert translated(given, PAIR) == pattern


def test_tokens_are_those_of_its_own_procedure() -> None:
    """It tokenises stretch by stretch, and puts <s>, <mask> and </s> between: worked out here for each of its templates."""
    good, movie = "All in all, a good film.", "The movie was bad!"
    first, last, mask = "<s>", "</s>", "<mask>"
    assert tokens("roberta", WAS, good) == [first, *stretch(good), *stretch(" It was"), mask, *stretch("."), last]
    assert tokens("roberta", IS, good) == [first, *stretch(good), *stretch(" This is"), mask, *stretch("."), last]
    assert tokens("roberta", FIRST, good) == [first, mask, *stretch(":"), *stretch(" " + good), last]
    ends = [mask, *stretch(","), *stretch(" the movie was bad!"), last]
    assert tokens("roberta", SAME, good, movie) == [first, *stretch(good), *ends]
    assert tokens("roberta", ASKED, good, movie) == [first, *stretch("All in all, a good film"), *stretch("?"), *ends]


def test_tokens_of_a_template_in_full() -> None:
    assert tokens("roberta", WAS, "A film") == ["<s>", "A", "Ġfilm", "ĠIt", "Ġwas", "<mask>", ".", "</s>"]
    assert tokens("bert", ASKED, "Good!", "Bad") == ["[CLS]", "good", "?", "[MASK]", ",", "bad", "[SEP]"]


def test_its_label_words_have_their_space() -> None:
    """LM-BFF's word is "Ġgreat" wherever the mask stands; here also, but at the very beginning."""
    read = reader("roberta")
    for given, word in ((WAS, "Ġgreat"), (SAME, "Ġgreat"), (FIRST, "great")):
        template = resolve(given, Task(Files(), ("no", "yes"), {}, (), PAIR))
        ids = read.word_ids("great", template.before_mask())
        assert tokenizer("roberta").convert_ids_to_tokens(list(ids)) == [word]


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        ("*cls*_It's*mask*.*+sent_0**sep+*", " It's {mask}. {text_a}"),  # one that LM-BFF found by itself
        ("*cls*.*mask*.*+sent_0**sep+*", ". {mask}. {text_a}"),
        ("*cls**sent-_0*.*mask*,_in_fact,*+sentl_1**sep+*",
         "{text_a.rstrip_punctuation}. {mask}, in fact, {text_b.lower_first}"),
        ("*cls**sentl-_0*_-*mask*", "{text_a.rstrip_punctuation.lower_first} - {mask}"),
        ("*cls**sentu_0*:_*mask*.", "{text_a.upper_first}: {mask}."),
        ("*cls**mask*!*+sentu_0*", "{mask}! {text_a.upper_first}"),
        ("*cls**sent_0**sep+**mask*,*+sent_1**sep*", "{text_a}{sep} {mask}, {text_b}"),
        ("*cls**sent_0**sep*_so*mask**sep+**sep+*", "{text_a}{sep} so {mask}"),
        ("*cls**sent_0*_{so}_it_is*mask*}", "{text_a} {{so}} it is {mask}}}"),
    ],
)  # fmt: skip
def test_the_language(given: str, pattern: str) -> None:
    assert translated(given, PAIR) == pattern


def test_literal_braces_are_read_as_text() -> None:
    assert "".join(tokens("bert", "*cls**sent_0*_{a}*mask*.", "film")) == "[CLS]film{a}[MASK].[SEP]"


@pytest.mark.parametrize(
    "pattern", ["", "none", "{text_a} It was {mask}.", "{text_a} *very* {mask}", "*sent_0* {mask}", "cls {text_a}"]
)
def test_other_patterns_are_left_alone(pattern: str) -> None:
    assert translated(pattern, PAIR) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("*cls**sent_0*_It_was*mask*._*label_0*", "*label_0*. Demonstrations are not written into a template here: "
         "the paradigm LmBff"),
        ("*cls**sent_0**mask**sep+**sent_1**labelx_0*", "*labelx_0*. Demonstrations are not written"),
        ("*cls**sent_0**mask**sep+**sent_2*_good", "*sent_2*, but the task's texts are: *sent_0* is text_a, *sent_1* is text_b. "
         "Demonstrations are not written"),
        ("*cls**+sentl_12**mask*", "*+sentl_12*, but the task's texts are"),
        ("*cls**sent_0*_was*maks*.", "unknown variable 'maks'. Did you mean 'mask'?"),
        ("*cls**sentx_0**mask*", "Did you mean 'sent"),
        ("*cls**sent_0*_It_was*mask", "a star without its partner"),
        ("*cls*mask*sent_0*", "has 'mask' as text; give it two stars of its own: *mask*"),
        ("*sent_0**cls**mask*", "must begin with *cls*"),
        ("So_*cls**sent_0**mask*", "must begin with *cls*"),
        ("*cls**sent_0**mask**cls*", "must begin with *cls*, and have no other one"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(given: str, says: str) -> None:
    with pytest.raises(LabError) as caught:
        translated(given, PAIR)
    assert says in str(caught.value)


def test_a_task_of_one_text_has_no_second() -> None:
    with pytest.raises(LabError, match=r"\*\+sentl_1\*, but the task's texts are: \*sent_0\* is text_a\. "):
        translated(SAME, ("text_a",))


class TestWhereverATemplateIsNamed:
    @pytest.mark.parametrize(
        "make", [lambda of: resolve(WAS, of), lambda of: resolve(0, of)], ids=["setting", "number"]
    )
    def test_resolve(self, make: Callable[[Task], object]) -> None:
        own = Task(Files(), ("no", "yes"), {}, (WAS,), name="toy")
        assert str(make(own)) == "{text_a} It was {mask}."

    def test_what_it_becomes_is_checked_as_every_pattern(self) -> None:
        with pytest.raises(LabError, match=r"a second \{mask\}"):
            resolve("*cls**sent_0**mask**mask*", task("no"))

    def test_on_the_command_line_and_in_files(self, tmp_path: Path) -> None:
        """A star begins an alias in YAML, but a setting in quotes is a string like any other."""
        line = settings.parse(runs.words(tmp_path, "--model.template", WAS)[1:])
        file = runs.write(tmp_path / "model.yaml", f"model: {{init_args: {{template: '{WAS}'}}}}")
        from_file = settings.parse([*runs.words(tmp_path)[1:], "--config", str(file)])
        assert [s.experiment().paradigm.template_setting for s in (line, from_file)] == [WAS, WAS]
        record = runs.record(tmp_path, {"model": {"init_args": {"template": WAS}}})
        assert record["template"] == "{text_a} It was {mask}."
