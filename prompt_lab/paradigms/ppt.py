"""PPT: a soft prompt that is pretrained on plain texts, then tuned on the few labels (Gu et al. 2022)."""

from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Literal, Self

from prompt_lab import pretext
from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Example
from prompt_lab.data.batching import refuse_below_one
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm, Stage, Stages
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.pretraining.texts import Texts
from prompt_lab.tasks import Task
from prompt_lab.templates.choice import chosen
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.soft_prompt import SoftPrompt

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData

Format = Literal["auto", "pair", "single", "choice"]
HELD_OUT = 10
"""One in so many of the pretraining examples shows how well the prompt learns."""


class Ppt(Paradigm):
    """Pre-trained prompt tuning (Gu et al. 2022, section 3): prompts that begin at random are hard to tune on few labels.

    The prompt is first trained on examples that plain texts give without anybody's labels, in the format of the task, then on the
    labelled ones; the backbone never moves. With a pattern of the task it is the paper's hybrid PPT (soft and hard words).

    Three formats: ``pair`` asks whether a sentence is the next one, one of the same text or of another (section 3.2.1).
    ``choice`` asks which of several sentences is the next, and the task then becomes a choice between its labels' names (the
    paper's unified PPT, section 3.3). ``single`` takes the task's own question, with the answers that the backbone gives without
    examples through the task's first pattern, as many for each label, the surest ones (section 3.2.3, where a model trained on
    Yelp reviews answers: that would be external labels).

    Args:
        template: the format's own by default; a number or a pattern makes it hybrid.
        answer: the task's label words by default, or letters for ``choice``.
        tuning: twenty virtual tokens in front by default.
        format: ``auto`` is ``pair`` for tasks of two texts and ``single`` for others.
        texts: a source of plain texts; the task's own unlabelled ones by default. All that are read count in the budget.
        unlabeled: the most texts that are read.
        pretraining_steps: of the optimizer, on the texts; as many as on the labels by default.
        words: label words of a pair: of another document, the same document, and the next sentence.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str | None = None,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        format: Format = "auto",
        texts: Texts | None = None,
        unlabeled: int = 1000,
        pretraining_steps: int | None = None,
        words: tuple[str, str, str] = ("no", "maybe", "yes"),
        warmup: float = 0.1,
    ) -> None:
        super().__init__(
            "mask" if template is None else template, answer or Words(), tuning or SoftPrompt(length=20), warmup=warmup
        )
        refuse_below_one(unlabeled=unlabeled, pretraining_steps=pretraining_steps)
        if not self.tuning.moves_prompt:
            raise LabError(
                f"Ppt pretrains a prompt, and {type(self.tuning).__name__} trains none; use the tuning SoftPrompt"
            )
        self._given = template is not None, answer is not None
        self.format: Format = format
        self.texts, self.unlabeled, self.pretraining_steps, self.words = texts, unlabeled, pretraining_steps, words

    def prepare(self, task: Task, reader: Reader) -> Self:
        """As every paradigm does, in the format that fits the task.

        Raises:
            LabError: also for ``pair`` on a task of one text.
        """
        if self.format == "auto":
            self.format = "single" if len(task.fields) == 1 else "pair"
        if self.format == "single" and len(task.fields) != 1:
            raise LabError(
                f"format: single is for tasks of one text; task {task.name!r} has {len(task.fields)}. Use pair or choice."
            )
        if self.format == "pair" and len(task.fields) != 2:
            raise LabError(
                f"format: pair is for tasks of two texts; task {task.name!r} has {len(task.fields)}. Use single or choice."
            )
        has_template, has_answer = self._given
        if self.texts is not None:
            self.texts.check()
        if not has_template and self.format == "pair":
            one, other = task.fields
            own_fields = (p.replace("text_a", one).replace("text_b", other) for p in pretext.PAIR)
            self.template_setting = _first_readable(tuple(own_fields), task, reader)
        if not has_template and self.format == "choice":
            own = pretext.options(task.labels).replace("{", "{{").replace("}", "}}")
            fields = " ".join(f"{{{name}}}" for name in task.fields)
            self.template_setting = f"{fields}? {own} Answer is {{mask}}."
        if not has_answer and self.format == "choice":
            self.answer = Words({label: [letter] for label, letter in zip(task.labels, ascii_uppercase, strict=False)})
        return super().prepare(task, reader)

    def build(self, backbone: Backbone) -> Self:
        """As every paradigm does; pretraining reads words, so the backbone needs its language-model head."""
        backbone.require_head()
        return super().build(backbone)

    def stages(self, data: "FewShotData") -> Stages:
        """Pretrain the prompt on plain texts, then tune it on the labelled examples."""
        if not data.drawn.train:
            raise LabError(
                "Ppt tunes its prompt on labelled examples, and k=0 gives none. Use --data.k 1 or more, or zero_shot."
            )
        documents = self._documents(data)
        if self.format == "single":
            texts = [Example({self.task.fields[0]: d}) for d in documents]
            annotator = ZeroShot().prepare(self.task, self.reader).build(self.backbone.original())
            logp_NC = yield Stage(annotator, None, "annotation", score=texts)
            own = pretext.Pretext(self.task, surest(texts, logp_NC))
            learner = PatternTuning(self.template_setting, Words(), self.tuning, self.warmup)
        else:
            own = (
                pretext.pairs(documents, self.words, data.seed)
                if self.format == "pair"
                else pretext.choices(documents, data.seed)
            )
            learner = PatternTuning(
                _first_readable(own.task.templates, own.task, self.reader), Words(), self.tuning, self.warmup
            )
        learner.prepare(own.task, self.reader)
        counts = [sum(map(len, self.reader.virtual_ids(t))) for t in (learner.template, self.template)]
        if counts[0] != counts[1]:
            raise LabError(
                f"Ppt pretrains virtual tokens that do not belong to a pattern: set the tuning's length, and leave {{soft}} out of "
                f"{str(self.template)!r}"
            )
        learner.backbone = self.backbone
        held, train = own.examples[::HELD_OUT], [e for i, e in enumerate(own.examples) if i % HELD_OUT]
        self._facts = {
            "format": self.format,
            "texts": len(documents),
            "pretrained_on": len(train),
            "labels": list(own.task.labels),
        }
        yield Stage(learner, data.trained_on(train, validation=held), "pretraining", self.pretraining_steps)
        yield Stage(self, data)

    def facts(self) -> dict[str, Any]:
        """What the prompt was pretrained on."""
        return {**super().facts(), **self._facts}

    def _documents(self, data: "FewShotData") -> tuple[str, ...]:
        if self.texts is not None:
            return data.documents(self.texts, self.unlabeled)
        found = tuple("\n".join(e.fields.values()) for e in data.unlabeled(self.unlabeled))
        if not found:
            raise LabError(
                f"Ppt pretrains its prompt on unlabelled texts, and task {self.task.name!r} has none left at k={data.k}. Give some "
                "with --model.texts or --data.files.unlabeled."
            )
        return found


def surest(texts: "list[Example]", logp_NC: Any) -> tuple[Example, ...]:
    """Half of the texts, as many for each label: those that are given it with the highest probability."""
    number = max(1, len(texts) // (2 * logp_NC.shape[1]))
    found: dict[int, int] = {}
    for label in range(logp_NC.shape[1]):
        ranked = [i for i in logp_NC[:, label].argsort(descending=True).tolist() if i not in found]
        found.update(dict.fromkeys(ranked[:number], label))
    return tuple(Example(texts[i].fields, label, texts[i].origin) for i, label in sorted(found.items()))


def _first_readable(patterns: tuple[str, ...], task: Task, reader: Reader) -> str:
    for pattern in patterns[:-1]:
        try:
            return chosen([pattern], task, reader)[0]
        except LabError:
            continue
    return patterns[-1]
