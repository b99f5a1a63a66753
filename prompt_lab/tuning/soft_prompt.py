"""A soft prompt: trained vectors in the embedding sequence (Lester et al. 2021; P-tuning: Liu et al. 2021)."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.templates import Template
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.encoders import Encoding
from prompt_lab.tuning.virtual import VirtualTokens, embedded, frequent_words, virtual_tokens
from prompt_lab.tuning.watching import PromptWatch

if TYPE_CHECKING:
    from prompt_lab.answers import Answer

Init = Literal["vocabulary", "normal", "uniform", "text", "label_words", "unused"]


class SoftPrompt(Tuning):
    """Trains the vectors of virtual tokens; the backbone stays as it is. In a ``Mixture`` with ``Full`` both are trained.

    The virtual tokens are those of the template's ``{soft}`` slots, and ``length`` more.

    Args:
        length: how many, beside those of the template's own slots.
        place: where these stand: in ``front`` of the text (behind [CLS], where there is one), half of them on each side
            ``around`` the fields, or in the place of all ``words`` of the pattern, which they begin as; ``length`` is then 0.
        init: what vectors that are no words begin as: words drawn from the 5,000 most frequent ones (``vocabulary``), numbers
            drawn from a ``normal`` or ``uniform`` distribution that has the embeddings' own spread, the words of ``text`` over and
            over, or the ``label_words`` and then words drawn (Lester et al. 2021, section 3.2), or the ``unused`` tokens of BERT
            vocabularies, over and over.
        text: for ``init: text``.
        encoder: what they are trained through: nothing, or P-tuning's ``lstm`` or ``mlp``, which begin as these vectors.
        learning_rate: of the vectors.
        weight_decay: of the vectors.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = False
    moves_prompt = True
    trains_virtual = True
    order: ClassVar[int] = 2

    def __init__(
        self,
        length: int = 0,
        place: Literal["front", "around", "words"] = "front",
        init: Init = "vocabulary",
        text: str | None = None,
        encoder: Encoding = "none",
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        dropout: bool = False,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)
        if length < 0 or (length and place == "words"):
            raise LabError(
                f"length is the number of virtual tokens, 0 where they take the place of words; it was {length} with place: {place}"
            )
        if (init == "text") != bool(text):
            raise LabError(f"init: text needs a text to begin as, and no other init takes one; text was {text!r}")
        self.length, self.place, self.init, self.text, self.encoder = length, place, init, text, encoder

    def prompted(self, template: Template) -> Template:
        """With the virtual tokens in their place."""
        if self.place == "words":
            return template.with_soft_words()
        return template.with_virtual(self.length, around=self.place == "around") if self.length else template

    def prepare(self, template: Template, answer: "Answer", reader: Reader) -> None:
        """Find what every vector begins as.

        Raises:
            LabError: there is no virtual token, or a word is not in the vocabulary.
        """
        self._starts = [start for slot in reader.virtual_starts(template) for start in slot]
        if not self._starts:
            lacks = (
                "place: words trains the words of a pattern, and template {} has none of its own (punctuation stays as it is). Choose "
                "another pattern of the task, such as --model.template 1, or write one."
                if self.place == "words"
                else "SoftPrompt trains virtual tokens, and template {} has none. Set length, or write {{soft}} into it."
            )
            raise LabError(lacks.format(repr(str(template))))
        self._first = reader.first_virtual
        self._reader = reader
        self._said: list[tuple[int, ...]] = []
        if self.init == "text":
            self._said = [(i,) for i in reader.word_ids(self.text or "", " ")]
        elif self.init == "label_words":
            self._said = [reader.word_ids(word, " ") for word in answer.pieces()]
            if not self._said:
                raise LabError(f"init: label_words needs label words, and the answer {type(answer).__name__} has none")
        elif self.init == "unused":
            ordered = sorted((i, token) for token, i in reader.tokenizer.get_vocab().items())
            self._said = [(i,) for i, token in ordered if token.startswith("[unused")]
            if not self._said:
                raise LabError(
                    f"init: unused needs the [unused] tokens of a BERT vocabulary, and {reader.name!r} has none"
                )

    def add(self, backbone: Backbone) -> None:
        """Let the backbone read the vectors."""
        if not hasattr(self, "_starts"):
            raise LabError("SoftPrompt belongs to a template with virtual tokens; it cannot be used here")
        VirtualTokens(self._start(backbone), self._first, self.encoder).attach(backbone)

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """How far the vectors move."""
        return [PromptWatch(virtual_tokens(backbone).vectors)]

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """How far the vectors moved, and the words they are nearest to."""
        virtual = virtual_tokens(backbone)
        nearest = virtual.nearest(backbone)
        lines = [f"soft {i}: " + ", ".join(f"{w} {c:.2f}" for w, c in row) for i, row in enumerate(nearest)]
        return {
            "prompt": {"vectors": len(nearest), "moved": round(float(virtual.vectors.moved()), 4), "nearest": nearest},
            "shown": lines,
        }

    def _start(self, backbone: Backbone) -> Tensor:
        """[P, D]."""
        start_PD = embedded(backbone, [start or 0 for start in self._starts])
        if free := [i for i, start in enumerate(self._starts) if start is None]:
            start_PD[free] = self._drawn(backbone, len(free)).to(start_PD)
        return start_PD

    def _drawn(self, backbone: Backbone, number: int) -> Tensor:
        """[number, D]: what vectors that are no words begin as."""
        weight_VD = backbone.embeddings().weight
        words = embedded(backbone, frequent_words(self._reader))
        spread, width = float(words.std()), weight_VD.shape[1]
        if self.init == "normal":
            return torch.randn(number, width) * spread
        if self.init == "uniform":
            return (torch.rand(number, width) * 2 - 1) * spread * 3**0.5
        said = [embedded(backbone, ids).mean(0) for ids in self._said]
        if self.init in ("text", "unused"):
            said = said * (number // len(said) + 1)
        drawn = words[torch.randperm(len(words))[: max(0, number - len(said))].to(words.device)]
        return torch.stack([*said, *drawn])[:number]
