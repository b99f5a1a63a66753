"""The lists of words that a user's file is recognised by: names of columns and labels, and common words of languages."""

from typing import Literal


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


LABEL_COLUMNS = _words(
    "label labels label_text label_name label_desc label_id class category categories target sentiment topic intent gold",
    "gold_label coarse_label y tag polarity rating stars score stance emotion answer section genre 标签 类别 分类 情感",
)
TEXT_COLUMNS = _words(
    "text text_a text_b sentence sentence1 sentence2 review premise hypothesis question question1 question2 passage context",
    "content comment body message title headline document query tweet utterance description",
    "article abstract story post email paragraph 文本 内容 句子 评论 标题 正文",
)
PAIRS = (
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("passage", "question"),
    ("context", "question"),
    ("question", "sentence"),
    ("query", "document"),
)
"""Columns of texts that belong together, in the order of a task's fields."""

POLES = _words(
    "negative positive neutral neg pos neu bad good mixed very_negative very_positive somewhat_negative somewhat_positive",
    "terrible great 负面 正面 中性 消极 积极 差评 好评 中评",
)
"""Labels of sentiment."""
RELATIONS: dict[Literal["entailment", "same", "question"], frozenset[str]] = {
    "entailment": _words("entailment neutral contradiction not_entailment entailed not_entailed 0 1 蕴含 中立 矛盾"),
    "same": _words(
        "duplicate not_duplicate same different equivalent not_equivalent paraphrase not_paraphrase 相同 不同 相似 不相似"
    ),
    "question": _words("yes no maybe true false 是 否"),
}
"""Labels of how two texts relate, by what is asked; 0 and 1 of a pair say no more than that something is."""
TOPICS = _words(
    "business sport sports politics political tech technology entertainment world science health education finance financial",
    "economy travel culture news food music movies auto cars games religion",
    "体育 财经 科技 娱乐 房产 教育 汽车 军事 旅游 国际 股票 文化 游戏",
)
"""Words of the names of topics; two labels that hold one are enough."""

ENGLISH = _words(
    "the and of to is was this that it its for with you your not are have has be but as at by from what how my we they he",
    "she on in all an who will would can about if",
)
OTHER_LATIN = _words(
    "der die das und nicht ist ein eine mit von zu den auf für es ich sie le la les des et est une un que pas pour dans ce",
    "qui el los las del por una con para como het een van niet dat zijn che il di non per sono não um uma os com och att det",
    "som är og jeg ikke på ja nie że się",
)
"""Function words of English's neighbours."""
EMPTY = _words("the and for with that this was were are not but you your all any its other others none non news")
"""Words that cannot stand for a label."""
