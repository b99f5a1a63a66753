"""Label words of several tokens on masked models: max-first decoding against the paper, and tasks that only it, or only the joint
probability of the tokens, can solve.
"""

import json
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from prompt_lab.answers import decoding
from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.kinds import MaskedReader
from prompt_lab.backbones.tiny import Tiny
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import EncodedExample, collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.experiment import Experiment, Run
from prompt_lab.paradigms.pattern_tuning import PatternTuning, hinge
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.tasks import Task, load_task
from prompt_lab.templates import Template
from prompt_lab.tuning.full import Full

import runs
from samples import CAUSAL, MASKED, SEQ2SEQ, backbone, reader, task, tokenizer

PATTERN = "{text_a} It was {mask}."
TEXTS = ["the film", "All in all a good movie", "No", "the movie was bad in all"]
SEVERAL = task("no", "yes", no=["bad", "bad film", "the bad film"], yes=["great", "bad movie", "good film the"])
LENGTHS = [1, 2, 3, 1, 2, 3]


def built(family: str, of: Task = SEVERAL, **how: Any) -> tuple[Words, Encoder]:
    answer, template = Words(decoding="max_first", **how), Template(PATTERN, of.fields)
    answer.build(of, reader(family), template)
    return answer.eval(), Encoder(template, answer.plan, reader(family), 100)


def batch(made: Encoder, texts: Sequence[str]) -> Encoded:
    return collate(made.encode([Example({"text_a": t}) for t in texts]), made.reader)


@torch.no_grad()
def by_the_paper(family: str, text: str, word: Sequence[int]) -> float:
    """One word of one text, one pass a token, rows without padding: Schick & Schütze (2021, NAACL, section 3.1)."""
    mask = reader(family).mask_id
    row = tokenizer(family)(PATTERN.format(text_a=text, mask=reader(family).mask_text))["input_ids"]
    first = row.index(mask)
    row[first : first + 1] = [mask] * len(word)
    left, total = dict(enumerate(word)), 0.0
    while left:
        logp_TV = backbone(family).model(input_ids=torch.tensor([row])).logits[0].log_softmax(-1)
        found = {j: float(logp_TV[first + j, token]) for j, token in left.items()}
        surest = max(found, key=lambda j: found[j])
        total += found[surest]
        row[first + surest] = left.pop(surest)
    return total


def word_ids(family: str, of: Task = SEVERAL) -> list[tuple[int, ...]]:
    return [reader(family).word_ids(word, " ") for label in of.labels for word in of.label_words[label]]


class TestMaxFirst:
    @pytest.mark.parametrize("family", MASKED)
    @pytest.mark.parametrize("at_once", [1, 5, 64])
    def test_all_texts_and_words_together_score_as_one_by_one(
        self, family: str, at_once: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decoding, "FEWEST", at_once)
        answer, made = built(family)
        expected = torch.tensor([[by_the_paper(family, t, w) for w in word_ids(family)] for t in TEXTS])
        assert [len(w) for w in word_ids(family)] == LENGTHS
        with torch.no_grad():
            whole = answer.word_scores(backbone(family), batch(made, TEXTS))
            alone = [answer.word_scores(backbone(family), batch(made, [t])) for t in TEXTS]
            parallel = answer.train().word_scores(backbone(family), batch(made, TEXTS))
        torch.testing.assert_close(whole, expected, atol=3e-4, rtol=1e-4)
        torch.testing.assert_close(torch.cat(alone), expected, atol=3e-4, rtol=1e-4)
        differ = (whole - parallel).abs().amax(0)
        assert (differ > 0.01).tolist() == [n > 1 for n in LENGTHS], "words of one token are read in one pass"

    @pytest.mark.parametrize("aggregate", ["mean", "sum", "max"])
    @pytest.mark.parametrize("length_normalize", [False, True])
    def test_words_of_a_label_go_together_as_ever(self, aggregate: Any, length_normalize: bool) -> None:
        answer, made = built("roberta", aggregate=aggregate, length_normalize=length_normalize)
        with torch.no_grad():
            found = answer(backbone("roberta"), batch(made, TEXTS[:2]))
        for row, text in zip(found, TEXTS[:2], strict=True):
            each = [by_the_paper("roberta", text, w) for w in word_ids("roberta")]
            if length_normalize:
                each = [p / n for p, n in zip(each, LENGTHS, strict=True)]
            expected = [_together(each[i : i + 3], aggregate) for i in (0, 3)]
            assert row.tolist() == pytest.approx(expected, abs=3e-4)

    def test_the_order_of_filling_follows_the_model_and_not_the_word(self) -> None:
        """Left to right gives another score where the second token is the surer one."""
        answer, made = built("bert")
        with torch.no_grad():
            logp_BWJ = _first_pass(answer, backbone("bert"), batch(made, TEXTS))
        assert (logp_BWJ[:, [1, 4]].argmax(-1) == 1).any(), "some second token is the surer one"
        assert (logp_BWJ[:, [2, 5]].argmax(-1) == 2).any(), "some third token is the surest one"

    @pytest.mark.parametrize("size", [1, 4])
    def test_passes_are_the_longest_words_tokens(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        read = []
        model = backbone("bert").model
        hook = model.register_forward_hook(lambda m, i, o: read.append(len(o.logits)))
        answer, made = built("bert")
        try:
            with torch.no_grad():
                answer(backbone("bert"), batch(made, TEXTS[:size]))
        finally:
            hook.remove()
        assert read == [3 * size, 4 * size, 2 * size], "first a row a length, then a row a word that is not done"

    def test_no_pass_reads_more_rows_than_the_first_or_the_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding, "FEWEST", 2)
        read = []
        hook = backbone("bert").model.register_forward_hook(lambda m, i, o: read.append(len(o.logits)))
        answer, made = built("bert")
        try:
            with torch.no_grad():
                answer(backbone("bert"), batch(made, TEXTS))
        finally:
            hook.remove()
        assert read == [12, 12, 4, 8]

    def test_single_tokens_are_read_as_before(self) -> None:
        of = task("no", "yes", no=["bad"], yes=["great"])
        answer, made = built("bert", of)
        assert answer.only_rows
        plain = Words()
        plain.build(of, reader("bert"), Template(PATTERN, of.fields))
        with torch.no_grad():
            read = batch(made, TEXTS)
            assert torch.equal(answer(backbone("bert"), read), plain(backbone("bert"), read))

    def test_training_fills_all_masks_at_once_and_has_gradients(self) -> None:
        answer, made = built("bert")
        model = backbone("bert").fresh()
        read = []
        model.model.register_forward_hook(lambda m, i, o: read.append(len(o.logits)))
        answer.train()(model, batch(made, TEXTS)).logsumexp(-1).sum().backward()
        assert read == [12]
        assert model.model.get_output_embeddings().weight.grad.abs().sum() > 0

    def test_a_part_of_what_several_views_read(self) -> None:
        """Pattern ensembles hand each member its own rows of a wider batch."""
        answer, made = built("bert")
        read = batch(made, TEXTS)
        shown = made.encode([Example({"text_a": t}) for t in TEXTS])
        wide = collate([EncodedExample((*e.rows, e.rows[0]), e.label, e.index) for e in shown], made.reader)
        with torch.no_grad():
            torch.testing.assert_close(answer(backbone("bert"), wide.rows(0, 3)), answer(backbone("bert"), read))

    @pytest.mark.parametrize("family", [*CAUSAL, *SEQ2SEQ])
    def test_models_that_read_from_left_to_right_need_none(self, family: str) -> None:
        with pytest.raises(LabError, match=rf"max_first fills masks in, but '{family}' is a .* model.*parallel"):
            built(family)


def _together(each: Sequence[float], aggregate: str) -> float:
    if aggregate == "mean":
        return sum(each) / len(each)
    return max(each) if aggregate == "max" else math.log(sum(map(math.exp, each)) / len(each))


def _first_pass(answer: Words, model: Backbone, read: Encoded) -> Tensor:
    logp_BGNV = model.slot_logits(read).log_softmax(-1)
    logp_BWJ = logp_BGNV[:, answer.row_WJ, answer.slot_WJ, answer.token_WJ]
    return logp_BWJ.masked_fill(answer.real_WJ == 0, float("-inf"))


# ------------------------------------------------------------------------------------------------- planted tasks

THINGS = ("film", "plot", "cast", "music", "ending", "script", "picture", "story",
          "stage", "sound", "light", "voice", "dance", "colour", "crowd", "title")  # fmt: skip
SIGNS = (("dull", "poor", "tired"), ("bright", "rich", "lively"))
SHARED = {"no": ["xy"], "yes": ["xz"]}
"""Pieces x ##y and x ##z: the first one is the same, the second one alone tells the labels apart."""
ORDER = {"no": ["xyz"], "yes": ["xzy"]}
"""Pieces x ##y ##z and x ##z ##y: the first one is the same and so are all together, their order alone tells the labels apart."""

TASK = """
from prompt_lab.tasks.base import Task
from prompt_lab.tasks.files import Files

TASK = Task(Files(train={train!r}, test={test!r}), ("no", "yes"), {words!r}, ("{{text_a}} So {{mask}} .",))
"""


class OneMask(Words):
    """What OpenPrompt does with a word of several pieces: all are read at one mask, and their log-probabilities averaged."""

    def build(self, task: Task, reader: Any, template: Template) -> None:
        super().build(task, reader, template)
        self.plan = reader.plan([(0,)])

    def word_scores(self, backbone: Backbone, batch: Encoded) -> Tensor:
        logp_BV = backbone.slot_logits(batch)[:, 0, 0].double().log_softmax(-1)  # whatever the order of a sum
        return (logp_BV[:, self.token_WJ] * self.real_WJ).sum(-1) / self.real_WJ.sum(-1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose vocabulary holds the words of the texts and single letters, and two tasks on the same texts."""
    folder = tmp_path_factory.mktemp("planted")
    texts = [(f"the {thing} is {sign}", label) for label in (0, 1) for thing, sign in product(THINGS, SIGNS[label])]
    Tiny("planted", "masked", [*(t for t, _ in texts), "So ."]).save(folder / "backbone")
    paths = {}
    held_out = [(i // 3) % 3 for i in range(len(texts))]  # one text of every thing, with another sign each time
    for split in ("train", "test"):
        part = [t for i, t in enumerate(texts) if (i % 3 == held_out[i]) == (split == "test")]
        rows = [json.dumps({"text_a": t, "label": label}) for t, label in part]
        paths[split] = str(runs.write(folder / f"{split}.jsonl", "\n".join(rows)))
    for name, words in (("shared", SHARED), ("order", ORDER)):
        runs.write(folder / f"{name}.py", TASK.format(words=words, **paths))
    return folder


def learnt(planted: Path, name: str, answer: Words, out: Path, **how: Any) -> dict[str, float]:
    """Scores on texts that were not trained on."""
    module = PatternTuning(answer=answer, tuning=Full(learning_rate=3e-3, dropout=False), **how)
    data = FewShotData(str(planted / f"{name}.py"), k="full", batch_size=16, max_length=32)
    run = Run(backbone=str(planted / "backbone"), out=str(out), wandb="disabled", save_model=False)
    trainer = {**runs.TRAINER, "max_steps": 80}
    record = execute(Experiment(module, data, run, trainer), Bars())
    return {key.removeprefix("test/"): value for key, value in record["scores"].items() if key.startswith("test/")}


class TestPlanted:
    """What fails here, fails in principle: no training can mend it."""

    @pytest.mark.parametrize("name", ["shared", "order"])
    @pytest.mark.parametrize("decoding", ["parallel", "max_first"])
    def test_the_joint_probability_tells_words_apart(
        self, planted: Path, name: str, decoding: Any, tmp_path: Path
    ) -> None:
        assert learnt(planted, name, Words(decoding=decoding), tmp_path)["acc"] == 1.0

    def test_at_one_mask_words_of_the_same_pieces_are_one_word(self, planted: Path, tmp_path: Path) -> None:
        """The scores of both labels are the same sum, so each is given a half whatever was learnt, and half of the texts are right."""
        found = learnt(planted, "order", OneMask(), tmp_path)
        assert found["acc"] == 0.5
        assert found["nll"] == pytest.approx(math.log(2), abs=1e-5)

    def test_with_the_hinge_loss(self, planted: Path, tmp_path: Path) -> None:
        assert learnt(planted, "order", Words(decoding="max_first"), tmp_path, objective="hinge")["acc"] == 1.0


NAMES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "in", "new", "york", "los", "angeles")
BEHIND = {"in": ("new", "los"), "[MASK]": ("york", "angeles"), "new": ("york",), "los": ("angeles",)}
BEFORE = {"york": ("new",), "angeles": ("los",)}


class Cities(transformers.PreTrainedModel):
    """Half the time it says "new york", half the time "los angeles": at each mask, what goes with the tokens on both sides of it."""

    base_model_prefix = "sides"

    def __init__(self) -> None:
        super().__init__(transformers.BertConfig(vocab_size=len(NAMES), hidden_size=2 * len(NAMES)))
        self.sides = Sides(len(NAMES))
        self.head = nn.Linear(2 * len(NAMES), len(NAMES), bias=False)
        at = {name: i for i, name in enumerate(NAMES)}
        with torch.no_grad():
            self.head.weight.zero_()
            for offset, says in ((0, BEHIND), (len(NAMES), BEFORE)):
                for beside, said in says.items():
                    self.head.weight[[at[word] for word in said], offset + at[beside]] = 9.0

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: Tensor, **_: Any) -> MaskedLMOutput:
        return MaskedLMOutput(logits=self.head(self.sides(input_ids).last_hidden_state))


class Sides(nn.Module):
    """At each place, which token stands before it and which after it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, input_ids: Tensor, **_: Any) -> BaseModelOutput:
        hot = nn.functional.one_hot(input_ids, self.size).float()
        return BaseModelOutput(last_hidden_state=torch.cat([hot.roll(1, 1), hot.roll(-1, 1)], -1))


def test_only_max_first_knows_that_tokens_depend_on_each_other() -> None:
    """Each token of "new angeles" is as probable as each of "new york"; not so once one of them is there."""
    tokens = transformers.BertTokenizer(vocab={n: i for i, n in enumerate(NAMES)})
    model = Cities()
    cities = Backbone(model, MaskedReader(tokens, model.config, "cities")).eval()
    of = task("mixed", "city", mixed=["new angeles"], city=["new york"])
    found = {}
    for how in ("parallel", "max_first"):
        answer, template = Words(decoding=how), Template("in {mask} {text_a}", ("text_a",))  # type: ignore[arg-type]
        answer.build(of, cities.reader, template)
        with torch.no_grad():
            read = batch(Encoder(template, answer.plan, cities.reader, 20), ["in"])
            found[how] = answer.eval()(cities, read)[0].exp().tolist()
    assert found["parallel"] == pytest.approx([0.25, 0.25], abs=0.005)
    assert found["max_first"] == pytest.approx([0.0, 0.5], abs=0.005)


# ------------------------------------------------------------------------------------------------- the hinge loss


class TestHinge:
    def test_by_hand(self) -> None:
        scores_BC = torch.tensor([[-1.0, -1.5, -4.0], [-3.0, -2.0, -2.5], [0.0, 9.0, 9.0]], requires_grad=True)
        first = (1 + 1.0 - 1.5) + 0.0  # the third label is more than one below the right one
        second = (1 + 2.5 - 3.0) + (1 + 2.5 - 2.0)
        found = hinge(scores_BC, torch.tensor([0, 2, -100]))
        assert found.item() == pytest.approx((first + second) / 2)
        found.backward()
        expected = torch.tensor([[-0.5, 0.5, 0.0], [0.5, 0.5, -1.0], [0.0, 0.0, 0.0]])
        torch.testing.assert_close(scores_BC.grad, expected)

    def test_it_takes_the_place_of_cross_entropy_in_training(self) -> None:
        scores_BC, batch = torch.tensor([[0.0, 0.25]]), _labelled(torch.tensor([1]))
        assert PatternTuning(objective="hinge").loss(scores_BC, batch).item() == pytest.approx(0.75)
        assert PatternTuning().loss(scores_BC, batch).item() == pytest.approx(math.log(1 + math.exp(-0.25)))

    def test_soft_labels_are_refused(self) -> None:
        soft = _labelled(torch.tensor([1]), torch.tensor([[0.4, 0.6]]))
        with pytest.raises(LabError, match="hinge loss needs one right label, but these examples have a probability"):
            PatternTuning(objective="hinge").loss(torch.zeros(1, 2), soft)

    def test_numbers_are_refused_before_anything_is_loaded(self) -> None:
        with pytest.raises(LabError, match=r"but task 'stsb' has numbers.*model\.objective to cross_entropy"):
            PatternTuning(objective="hinge").prepare(load_task("stsb"), reader("bert"))


def _labelled(label_B: Tensor, soft_BC: Tensor | None = None) -> Encoded:
    ids = torch.zeros(len(label_B), 1, dtype=torch.long)
    return Encoded(ids, ids, ids[..., None], label_B, label_B, soft=soft_BC)


def test_both_are_settings_of_the_command_line(tmp_path: Path) -> None:
    words = {"class_path": "Words", "init_args": {"decoding": "max_first"}}
    model = {"init_args": {"answer": words, "objective": "hinge"}}
    module = runs.experiment(tmp_path, {"model": model}).paradigm
    assert (module.answer.decoding, module.objective) == ("max_first", "hinge")
