"""What can be set of demonstrations."""

from dataclasses import dataclass
from typing import Literal

from prompt_lab.errors import LabError

Select = Literal["random", "similar"]


@dataclass(frozen=True)
class Demonstrations:
    """Which solved examples are shown beside a text, and how many times over (Gao et al. 2021, section 6).

    Attributes:
        select: a label's demonstration is any of its other training examples (``random``; section 6.1), or one of those that are
            most ``similar`` to the text (section 6.2).
        share: of a label's examples, those that count as similar; LM-BFF takes the half that is closest.
        sets: of demonstrations that are averaged over for each text at inference; LM-BFF averages over 16. While training there is
            one, drawn anew in every pass.
        max_length: the most tokens of each demonstration with its separator; only its fields are shortened to fit.
        embedder: a backbone whose mean hidden states say how similar two texts are: a packaged one, a folder, or a hub id.
        seed: which are drawn; the split's seed by default.

    Raises:
        LabError: a number that makes no sense.
    """

    select: Select = "similar"
    share: float = 0.5
    sets: int = 16
    max_length: int = 64
    embedder: str = "minilm"
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.select not in ("random", "similar"):
            raise LabError(f"demonstrations.select is 'random' or 'similar'; it was {self.select!r}")
        if not 0 < self.share <= 1:
            raise LabError(
                f"demonstrations.share is a part of each label's examples, above 0 and at most 1; it was {self.share}"
            )
        for name, value in (("sets", self.sets), ("max_length", self.max_length)):
            if value < 1:
                raise LabError(f"demonstrations.{name} must be at least 1; it was {value}")
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise LabError(f"demonstrations.seed must lie between 0 and 2**32 - 1; it was {self.seed}")
