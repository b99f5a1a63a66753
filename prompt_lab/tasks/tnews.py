"""Topic of Chinese news headlines, fifteen topics: TNEWS of FewCLUE.

Training examples are drawn from FewCLUE's five training sets together, and its public test set (2,010) is the test.
The label words are the names of the topics, two characters each. Patterns in the manner of FewCLUE's PET baseline (Xu
et al. 2021).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import few_clue

NAMES = {
    "news_story": "故事",
    "news_culture": "文化",
    "news_entertainment": "娱乐",
    "news_sports": "体育",
    "news_finance": "财经",
    "news_house": "房产",
    "news_car": "汽车",
    "news_edu": "教育",
    "news_tech": "科技",
    "news_military": "军事",
    "news_travel": "旅游",
    "news_world": "国际",
    "news_stock": "股票",
    "news_agriculture": "农业",
    "news_game": "电竞",
}

TASK = Task(
    source=few_clue("tnews", {"sentence": "text_a", "label_desc": "label"}, NAMES),
    labels=tuple(NAMES.values()),
    label_words={name: (name,) for name in NAMES.values()},
    templates=(
        "{text_a}这则新闻的主题是{mask}。",
        "下面报导一则{mask}新闻。{text_a}",
        "欢迎收看{mask}频道。{text_a}",
    ),
    language="zh",
    citation="Xu et al. 2021",
)
