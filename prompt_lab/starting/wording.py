"""Patterns that papers ask with, and the label words that they read, by language and by what is asked."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from prompt_lab.starting.lexicon import POLES, RELATIONS, TOPICS

Asked = Literal["sentiment", "topic", "entailment", "same", "question", "other"]


class Wording(NamedTuple):
    """Patterns, and where they are from."""

    patterns: tuple[str, str, str]
    source: str


_BARE = Wording(
    ("{text_a} ( {mask} )", "{mask}: {text_a}", "[ {mask} ] {text_a}"),
    "without a word, as the language is not known; PET's for AG News (Schick and Schütze 2021, section 4)",
)
_SINGLE: dict[tuple[str, Asked], Wording] = {
    ("en", "sentiment"): Wording(
        ("{text_a} It was {mask}.", "{text_a} All in all, it was {mask}.", "Just {mask}! {text_a}"),
        "LM-BFF's (Gao et al. 2021, table 1) and PET's for Yelp (Schick and Schütze 2021, section 4)",
    ),
    ("en", "topic"): Wording(
        ("{text_a} This is about {mask}.", "{mask} news: {text_a}", "[ Category: {mask} ] {text_a}"),
        "after PET's for AG News (Schick and Schütze 2021, section 4) and KPT's (Hu et al. 2022)",
    ),
    ("en", "other"): Wording(
        ("{text_a} This is {mask}.", "{mask}: {text_a}", "[ Category: {mask} ] {text_a}"),
        "LM-BFF's for CoLA (Gao et al. 2021, table 1) and PET's for AG News (Schick and Schütze 2021, section 4)",
    ),
    ("zh", "sentiment"): Wording(
        ("{text_a}总之，感觉很{mask}。", "{text_a}让人觉得很{mask}。", "感觉很{mask}。{text_a}"),
        "in the manner of FewCLUE's PET baseline (Xu et al. 2021)",
    ),
    ("zh", "topic"): Wording(
        ("{text_a}这则新闻的主题是{mask}。", "下面报导一则{mask}新闻。{text_a}", "欢迎收看{mask}频道。{text_a}"),
        "in the manner of FewCLUE's PET baseline (Xu et al. 2021)",
    ),
    ("zh", "other"): Wording(
        ("{text_a}。这段话属于{mask}。", "这是一条{mask}文本：{text_a}", "{mask}：{text_a}"),
        "in the manner of FewCLUE's PET baseline (Xu et al. 2021)",
    ),
}
_PAIR: dict[tuple[str, Asked], Wording] = {
    ("en", "entailment"): Wording(
        (
            "{text_a.rstrip_punctuation}? {mask}, {text_b.lower_first}",
            '"{text_a.rstrip_punctuation}"? {sep}{mask}, "{text_b.rstrip_punctuation}"',
            "{text_a} Question: {text_b.rstrip_punctuation}? Answer: {mask}.",
        ),
        "LM-BFF's (Gao et al. 2021, table 1), PET's (Schick and Schütze 2021) and GPT-3's (Brown et al. 2020) for MNLI",
    ),
    ("en", "same"): Wording(
        (
            "{text_a} {mask}, {text_b.lower_first}",
            "{text_a.rstrip_punctuation}? {sep}{mask}, {text_b.lower_first}",
            "{text_a} {text_b} Do these mean the same? {mask}.",
        ),
        "after LM-BFF's for MRPC and QQP (Gao et al. 2021, table 1)",
    ),
    ("en", "question"): Wording(
        (
            "{text_a} Question: {text_b.rstrip_punctuation}? Answer: {mask}.",
            "{text_a} Based on the previous passage, {text_b.rstrip_punctuation}? {mask}.",
            "Based on the following passage, {text_b.rstrip_punctuation}? {mask}. {text_a}",
        ),
        "PET's for BoolQ (Schick and Schütze 2021b, section 4.1)",
    ),
    ("zh", "same"): Wording(
        (
            "{text_a}和{text_b}意思{mask}。",
            "{text_a}。{text_b}。这两句话的意思{mask}。",
            "下面两句话意思{mask}。{text_a}。{text_b}。",
        ),
        "in the manner of FewCLUE's PET baseline (Xu et al. 2021)",
    ),
    ("zh", "entailment"): Wording(
        (
            "{text_a.rstrip_punctuation}？{mask}，{text_b}",
            "“{text_a.rstrip_punctuation}”？{sep}{mask}，“{text_b.rstrip_punctuation}”",
            "{text_a.rstrip_punctuation}。由此可知，{text_b.rstrip_punctuation}吗？{mask}。",
        ),
        "in the manner of FewCLUE's PET baseline (Xu et al. 2021)",
    ),
}

_STARS = dict(zip("12345", ("terrible", "bad", "okay", "good", "great"), strict=True))
_LM_BFF = "LM-BFF's word (Gao et al. 2021, table 1)"
_PUBLISHED: Sequence[tuple[str, Asked, Mapping[str, str], str]] = (
    ("en", "sentiment", {"negative": "terrible", "positive": "great"}, _LM_BFF),
    ("en", "sentiment", {"neg": "terrible", "pos": "great"}, _LM_BFF),
    ("en", "sentiment", {"negative": "terrible", "neutral": "okay", "positive": "great"}, _LM_BFF),
    ("en", "sentiment", _STARS, "PET's word for Yelp (Schick and Schütze 2021, section 4)"),
    ("en", "entailment", {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}, _LM_BFF),
    ("en", "entailment", {"entailment": "Yes", "not_entailment": "No"}, _LM_BFF),
    ("en", "same", {"equivalent": "Yes", "not_equivalent": "No"}, _LM_BFF),
    ("en", "same", {"duplicate": "Yes", "not_duplicate": "No"}, "LM-BFF's word for QQP (Gao et al. 2021, table 1)"),
    ("en", "same", {"same": "Yes", "different": "No"}, "as LM-BFF's for QQP (Gao et al. 2021, table 1)"),
    ("en", "question", {"true": "Yes", "false": "No"}, "PET's word for BoolQ (Schick and Schütze 2021b, section 4.1)"),
    ("zh", "sentiment", {"negative": "差", "positive": "好"}, "the word of the task eprstmt"),
    ("zh", "sentiment", {"负面": "差", "正面": "好"}, "the word of the task eprstmt"),
    ("zh", "sentiment", {"消极": "差", "积极": "好"}, "the word of the task eprstmt"),
    (
        "zh",
        "entailment",
        {"entailment": "是的", "neutral": "可能", "contradiction": "不是"},
        "the word of the task ocnli",
    ),
    ("zh", "entailment", {"蕴含": "是的", "中立": "可能", "矛盾": "不是"}, "the word of the task ocnli"),
    ("zh", "same", {"different": "不同", "same": "相同"}, "the word of the task bustm"),
)


def plain(label: str) -> str:
    """A label's name as these lists have it: ``Not-Duplicate`` as ``not_duplicate``, ``__label__sports`` as ``sports``."""
    return re.sub(r"\W+", "_", label.removeprefix("__label__").lower()).strip("_")


def asked(labels: Sequence[str], fields: int, column: str) -> Asked:
    """What the labels' names, the number of text fields and the name of the label's column say is asked."""
    names = {plain(label) for label in labels}
    rated = any(word in column.lower() for word in ("star", "rating", "score"))
    relation = next((about for about, labels in RELATIONS.items() if names <= labels), None)
    if fields == 2 and relation is not None:
        return relation
    if names <= POLES or (rated and names <= set(_STARS)):
        return "sentiment"
    return "topic" if sum(bool(set(n.split("_")) & TOPICS) for n in names) >= 2 else "other"


def wording(language: str, what: Asked, fields: int) -> Wording:
    """Three patterns; of a pair whose relation is not asked, or not in a known language, both texts stand where one would."""
    if (language, what) in _PAIR:
        return _PAIR[language, what]
    single = _SINGLE.get((language, what), _BARE)
    return single if fields == 1 else _paired(single, "{text_a}" if language == "zh" else "{text_a} ")


def published(language: str, what: Asked, labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """Label words that a paper has for just these labels, and which paper; none if there are none."""
    names = {plain(label): label for label in labels}
    for spoken, about, words, source in _PUBLISHED:
        if (spoken, about) == (language, what) and (set(words) == set(names) or _some_stars(words, names)):
            return {label: words[name] for name, label in names.items()}, source
    return {}, ""


def _some_stars(words: Mapping[str, str], names: Mapping[str, str]) -> bool:
    return words is _STARS and set(names) <= set(words)


def _paired(one: Wording, first_text: str) -> Wording:
    first, second, third = (pattern.replace("{text_a}", first_text + "{text_b}") for pattern in one.patterns)
    return Wording((first, second, third), one.source)
