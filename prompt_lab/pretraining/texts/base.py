"""Where plain text comes from: what every source of texts offers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

AS_STATED = "as its source states"


class Texts(ABC):
    """Where plain text comes from. A subclass is made from settings alone; nothing is read before ``documents``.

    Args:
        licence: of the texts, for the card of what is trained on them.
    """

    def __init__(self, licence: str = AS_STATED) -> None:
        self.licence = licence

    @property
    @abstractmethod
    def name(self) -> str:
        """What is read, in few words and without a folder of this machine, for the card's table."""

    def check(self) -> None:  # noqa: B027 - a source with nothing to check need not say so
        """Refuse what can be seen to be wrong before any text is read and any model is loaded.

        Raises:
            LabError: a name that does not exist, or a file or package that is not there.
        """

    @abstractmethod
    def documents(self) -> Iterator[str]:
        """The texts: none is empty, none begins or ends with a blank, and their order is the same on every machine.

        Raises:
            LabError: the texts cannot be had, or one is unusable. It comes from the iterator, with the first text at the
                earliest, so whoever wants to know sooner calls ``check``.
        """
