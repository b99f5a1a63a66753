"""Several tunings of one backbone at once, each with its own learning rate: prompt+LM tuning, LoRA beside biases."""

from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.templates import Template
from prompt_lab.trees import merged
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.injecting import replaced

if TYPE_CHECKING:
    from prompt_lab.answers import Answer


class Mixture(Tuning):
    """Moves what any of its tunings moves; a parameter belongs to the first that moves it, with that one's rate and decay.

    With ``SoftPrompt`` and ``Full`` it is prompt+LM tuning (Liu et al. 2021, table 6; P-tuning with a tuned model: Liu et al. 2021,
    "GPT Understands, Too", section 4). What an answer has of its own goes by the first tuning, as does the optimizer; dropout is on if
    any of them wants it.

    Args:
        tunings: two or more, at most one of which trains virtual tokens.
    """

    def __init__(self, tunings: list[Tuning]) -> None:
        if len(tunings) < 2:
            raise LabError(f"a Mixture is made of two tunings or more; it was given {len(tunings)}")
        if len({t.optimizer for t in tunings}) > 1:
            raise LabError("all tunings of a Mixture share one optimizer; give them the same")
        first = tunings[0]
        super().__init__(first.learning_rate, first.weight_decay, any(t.dropout for t in tunings), first.optimizer)
        self.tunings = sorted(tunings, key=lambda t: t.order)
        for tuning in tunings:
            tuning.beside_virtual = any(other.trains_virtual for other in tunings if other is not tuning)
        self._own: list[set[int]] = []

    @property
    def moves_backbone(self) -> bool:  # type: ignore[override]
        """Whether any of them moves the backbone."""
        return any(t.moves_backbone for t in self.tunings)

    @property
    def moves_prompt(self) -> bool:  # type: ignore[override]
        """Whether any of them trains a prompt."""
        return any(t.moves_prompt for t in self.tunings)

    def prompted(self, template: Template) -> Template:
        """With what each puts in."""
        for tuning in self.tunings:
            template = tuning.prompted(template)
        return template

    def prepare(self, template: Template, answer: "Answer", reader: Reader) -> None:
        """Fit those that train prompts; one of them must train the template's virtual tokens."""
        prompting = [t for t in self.tunings if t.moves_prompt]
        for tuning in prompting:
            tuning.prepare(template, answer, reader)
        if not prompting:
            super().prepare(template, answer, reader)

    def add(self, backbone: Backbone) -> None:
        """Let all of them move what they move."""
        self._own = []
        for tuning in self.tunings:
            before = [p for p in backbone.parameters() if p.requires_grad]
            tuning.add(backbone)
            for parameter in before:
                parameter.requires_grad_(True)  # a library may freeze all that is not its own
            known = {id(p) for p in before}
            for parameter in replaced(backbone):
                parameter.requires_grad_(False)
            self._own.append({id(p) for p in backbone.parameters() if p.requires_grad} - known)

    def groups(self, module: nn.Module, learning_rate: float | None = None) -> list[dict[str, Any]]:
        """Those of each tuning; parameters of an answer go by the first."""
        owned = [
            nn.ParameterList(p for p in module.parameters() if id(p) in own and p.requires_grad) for own in self._own
        ]
        known = {id(p) for own in owned for p in own}
        rest = nn.ParameterList(p for p in module.parameters() if id(p) not in known)
        found = [g for t, own in zip(self.tunings, owned, strict=True) for g in t.groups(own, learning_rate)]
        return found + super().groups(rest, learning_rate)

    def penalty(self, backbone: Backbone) -> Tensor | float:
        """The sum of theirs."""
        return sum(tuning.penalty(backbone) for tuning in self.tunings)

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """What each wants to see."""
        return [callback for tuning in self.tunings for callback in tuning.callbacks(backbone)]

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """What each has to say; what several say under one name is put together."""
        return merged(*(tuning.facts(backbone) for tuning in self.tunings))
