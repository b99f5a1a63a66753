"""Networks that a prompt can be trained through: reparameterisation."""

from typing import Literal

from torch import Tensor, nn

Encoding = Literal["none", "mlp", "lstm"]
"""The vectors themselves; a network of two layers on each of them (Li and Liang 2021, section 4.3); or P-tuning's bidirectional LSTM
with two layers behind it (Liu et al. 2021, section 3.3)."""


class PromptEncoder(nn.Module):
    """Trained inputs [P, D] and a network that makes [P, E] of them.

    Args:
        start_PD: the inputs before training.
        size: E.
        width: of the hidden layer.
        recurrent: put a bidirectional LSTM of two layers in front, so that the vectors depend on each other.
    """

    def __init__(self, start_PD: Tensor, size: int, width: int, *, recurrent: bool = False) -> None:
        super().__init__()
        own = start_PD.shape[1]
        self.inputs = nn.Parameter(start_PD.clone())
        self.lstm = nn.LSTM(own, -(-own // 2), 2, batch_first=True, bidirectional=True) if recurrent else None
        between: nn.Module = nn.ReLU() if recurrent else nn.Tanh()
        self.layers = nn.Sequential(
            nn.Linear(-(-own // 2) * 2 if recurrent else own, width), between, nn.Linear(width, size)
        )

    def forward(self) -> Tensor:
        """[P, E]."""
        hidden_PD = self.inputs if self.lstm is None else self.lstm(self.inputs[None])[0][0]
        return self.layers(hidden_PD)


def encoder(kind: Encoding, start_PD: Tensor, size: int, width: int | None = None) -> PromptEncoder | None:
    """The encoder of that kind; None for ``none``. ``width`` is D by default."""
    if kind == "none":
        return None
    return PromptEncoder(start_PD, size, width or start_PD.shape[1], recurrent=kind == "lstm")
