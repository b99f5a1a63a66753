"""Label words: a label scores as its words do at the mask (PET's verbalizer), whatever number of tokens they have."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from prompt_lab.answers.base import Answer
from prompt_lab.answers.decoding import Reads, max_first
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader, Word
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError, unknown
from prompt_lab.tasks import Task
from prompt_lab.templates import Template


class Words(Answer):
    """Scores a label by its words (Schick & Schütze 2021, EACL, equation 1), one or many of them, of one or many tokens.

    A word of several tokens scores their joint log-probability: for a masked model over a run of as many masks, as ``decoding``
    says (Schick & Schütze 2021, NAACL, section 3.1), for the others from left to right. In training a masked model always fills
    all masks at once, as in the paper; the paper's code gives every word as many masks there as the longest has, this class as
    many as it has itself, so that training and evaluation read the same. Where every word is one token, the vocabulary's
    normaliser is the same for all labels, so only the words' own rows are computed.

    On models that read from left to right, a word that another one begins with ("great", "great job") never scores below it, as
    no end of the word is scored; give words of which none begins another.

    Args:
        words: label words by label, as a list or with a weight each; the task's own by default.
        aggregate: how the words of a label go together: ``mean`` of their log-probabilities, log of the ``sum`` of their
            probabilities, or the ``max``. Weights are normalised to sum to one within a label; ``max`` takes no notice of them.
        length_normalize: divide a word's log-probability by its number of tokens.
        decoding: how a masked model evaluates a word of several tokens. ``parallel``: all its masks at once, in one pass, each token
            as if it did not depend on the others. ``max_first``: the most probable token is filled in first and the model reads
            again, as often as the longest word has tokens, less one (see ``max_first``).
    """

    needs_mask = True
    needs_head = True

    weight_WC: Tensor
    row_WJ: Tensor
    slot_WJ: Tensor
    token_WJ: Tensor
    real_WJ: Tensor

    def __init__(
        self,
        words: dict[str, list[str] | dict[str, float]] | None = None,
        aggregate: Literal["mean", "sum", "max"] = "mean",
        length_normalize: bool = False,
        decoding: Literal["parallel", "max_first"] = "parallel",
    ) -> None:
        super().__init__()
        self.words = words
        self.aggregate = aggregate
        self.length_normalize = length_normalize
        self.decoding = decoding

    def build(self, task: Task, reader: Reader, template: Template) -> None:
        """Tokenise the words as they stand at the template's mask, and plan how they are read.

        Raises:
            LabError: a label without words, words for a label that does not exist, a word that the tokenizer does not have,
                two labels with the same tokens, ``max_first`` on a model that reads from left to right.
        """
        super().build(task, reader, template)
        if self.decoding == "max_first" and reader.kind != "masked":
            raise LabError(
                f"max_first fills masks in, but {reader.name!r} is a {reader.kind} model, which scores a word exactly from left to "
                "right as it is. Leave answer.decoding at parallel, or use a masked backbone."
            )
        labelled = self._labelled(task)
        before = template.before_mask()
        of_label = [[(weight, w) for c, w, weight in labelled if c == label] for label in range(len(task.labels))]
        self._heaviest = [max(own, key=lambda pair: pair[0])[1] for own in of_label]
        self._tokens = {w: reader.word_ids(w, before) for _, w, _ in labelled}
        self._reader = reader
        _refuse_shared(labelled, self._tokens, len(task.labels))
        ids = [self._tokens[w] for _, w, _ in labelled]
        self.plan = reader.plan(ids)
        self.only_rows = all(len(i) == 1 for i in ids)
        weight_WC = torch.zeros(len(ids), len(task.labels))
        for w, (label, _, weight) in enumerate(labelled):
            weight_WC[w, label] = weight
        self._keep("weight_WC", weight_WC / weight_WC.sum(0))
        self._keep_reads(self.plan.reads)

    def forward(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Label scores [B, C]."""
        return self._by_label(self.word_scores(backbone, batch))

    def word_scores(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Log-probability of every word [B, W]; where all words are single tokens, up to a constant of the example."""
        if self.only_rows:
            return backbone.slot_logits(batch, self.token_WJ[:, 0])[:, 0, 0].float()
        logp_BGNV = backbone.slot_logits(batch).float().log_softmax(-1)
        logp_BWJ = logp_BGNV[:, self.row_WJ, self.slot_WJ, self.token_WJ]
        if self.decoding == "max_first" and not self.training:
            reads = Reads(self.row_WJ, self.slot_WJ, self.token_WJ, self.real_WJ)
            score_BW = max_first(logp_BWJ, batch, reads, backbone.slot_logits)
        else:
            score_BW = (logp_BWJ * self.real_WJ).sum(-1)
        return score_BW / self.real_WJ.sum(-1) if self.length_normalize else score_BW

    def word_of(self, label: int) -> str:
        """The label's heaviest word, the first of equals."""
        return self._heaviest[label]

    def pieces(self) -> Mapping[str, list[str]]:
        """How the tokenizer splits each label word."""
        return {w: self._reader.tokenizer.convert_ids_to_tokens(list(ids)) for w, ids in self._tokens.items()}

    def _by_label(self, score_BW: Tensor) -> Tensor:
        if self.aggregate == "mean":
            return (score_BW[..., None] * self.weight_WC).sum(1)  # no matrix product: autocast would round it to bf16
        weighted_BWC = score_BW[..., None] + self.weight_WC.log()
        if self.aggregate == "sum":
            return weighted_BWC.logsumexp(1)
        return score_BW[..., None].masked_fill(self.weight_WC == 0, float("-inf")).amax(1)

    def _labelled(self, task: Task) -> list[tuple[int, str, float]]:
        """(label, word, weight) for every word, in the order of the labels."""
        given: Mapping[str, Sequence[str] | Mapping[str, float]] = self.words or task.label_words
        for label in given:
            if label not in task.labels:
                raise unknown("label", label, task.labels, more="It was given label words.")
        found = []
        for number, label in enumerate(task.labels):
            words = given.get(label, ())
            words = (words,) if isinstance(words, str) else words
            weights = words if isinstance(words, Mapping) else dict.fromkeys(words, 1.0)
            if not weights:
                raise LabError(
                    f"the label {label!r} of task {task.name!r} has no label words; give it some with --model.answer.words"
                )
            if not all(0 < weight < math.inf for weight in weights.values()):
                raise LabError(
                    f"the label words of {label!r} have weights {dict(weights)}; every weight must be positive and finite"
                )
            found += [(number, word, weight) for word, weight in weights.items()]
        return found

    def _keep(self, name: str, value: Tensor) -> None:
        """Constants follow the module's device, and are made again from settings rather than saved."""
        self.register_buffer(name, value, persistent=False)

    def _keep_reads(self, reads: Sequence[Sequence[tuple[int, int, int]]]) -> None:
        """Where each token of each word is scored, padded to the longest word: index tensors [W, J]."""
        longest = max(map(len, reads))
        padded = torch.tensor([[*r, *[(0, 0, 0)] * (longest - len(r))] for r in reads])
        for name, column in zip(("row_WJ", "slot_WJ", "token_WJ"), padded.unbind(-1), strict=True):
            self._keep(name, column)
        self._keep("real_WJ", torch.tensor([[1.0] * len(r) + [0.0] * (longest - len(r)) for r in reads]))


def _refuse_shared(labelled: Sequence[tuple[int, str, float]], tokens: Mapping[str, Word], classes: int) -> None:
    """Two labels whose words are the same tokens could never be told apart."""
    by_label = [sorted({tokens[w] for label, w, _ in labelled if label == c}) for c in range(classes)]
    for a in range(classes):
        for b in range(a):
            if by_label[a] == by_label[b]:
                words = [[w for label, w, _ in labelled if label == c] for c in (b, a)]
                raise LabError(
                    f"the label words {words[0]} and {words[1]} of two labels become the same tokens; choose others"
                )
