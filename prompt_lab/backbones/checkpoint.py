"""Where a backbone comes from: a folder, a package, or the hub; its tokenizer can be had without its weights."""

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from functools import cached_property
from pathlib import Path
from typing import Any

from prompt_lab.backbones.kinds import CausalReader, MaskedReader, Seq2SeqReader
from prompt_lab.backbones.reader import Kind, Reader
from prompt_lab.errors import LabError
from prompt_lab.hub import go_offline_if_unreachable

READERS: dict[Kind, type[Reader]] = {"masked": MaskedReader, "causal": CausalReader, "seq2seq": Seq2SeqReader}


class Checkpoint(ABC):
    """A pretrained model that can be loaded, in two steps: how it reads, then its weights.

    Attributes:
        name: the name it is asked for by.
    """

    name: str

    @abstractmethod
    def kind(self) -> Kind:
        """masked, causal or seq2seq."""

    @abstractmethod
    def config(self) -> Any:
        """The Hugging Face configuration."""

    @abstractmethod
    def tokenizer(self) -> Any:
        """The fast tokenizer."""

    @abstractmethod
    def model(self) -> tuple[Any, tuple[str, ...]]:
        """The model in float32, and the names of parameters the checkpoint did not hold."""

    def revision(self) -> str:
        """What names these weights exactly; empty where only a hash of them can."""
        return ""

    @cached_property
    def reader(self) -> Reader:
        """The reading side alone."""
        return READERS[self.kind()](self.tokenizer(), self.config(), self.name, self.revision())


class Pretrained(Checkpoint):
    """A folder in the Hugging Face format, or a hub id with an optional ``@revision``."""

    def __init__(self, name: str, kind: Kind | None = None) -> None:
        self.name = name
        self._path, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
        self._revision = revision or None
        self._kind = kind

    @cached_property
    def _config(self) -> Any:
        if not Path(self._path).is_dir():
            go_offline_if_unreachable()
        from transformers import AutoConfig

        with _clear_errors(self.name):
            return AutoConfig.from_pretrained(self._path, revision=self._revision)

    def config(self) -> Any:
        """The configuration, fetched once."""
        return self._config

    def kind(self) -> Kind:
        """As the checkpoint's own class says, or as its model type allows."""
        return self._kind or kind_of(self._config, self.name)

    def tokenizer(self) -> Any:
        """The fast tokenizer."""
        from transformers import AutoTokenizer

        with _clear_errors(self.name):
            tokenizer = AutoTokenizer.from_pretrained(self._path, revision=self._revision)
            if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
                raise OSError("it has no tokenizer files, or their vocabulary is empty")
            return tokenizer

    def model(self) -> tuple[Any, tuple[str, ...]]:
        """The model with the head of its kind."""
        import transformers

        auto = {
            "masked": transformers.AutoModelForMaskedLM,
            "causal": transformers.AutoModelForCausalLM,
            "seq2seq": transformers.AutoModelForSeq2SeqLM,
        }[self.kind()]
        with _clear_errors(self.name), silent():
            model, report = auto.from_pretrained(
                self._path,
                revision=self._revision,
                dtype="float32",
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
            if report["mismatched_keys"]:
                wrong = sorted(key[0] for key in report["mismatched_keys"])
                raise OSError(f"{', '.join(wrong[:3])} … are of other sizes than its config.json says")
        return model, tuple(sorted(report["missing_keys"]))

    def revision(self) -> str:
        """The hub's commit; empty for a folder."""
        return getattr(self._config, "_commit_hash", None) or ""


def kind_of(config: Any, name: str) -> Kind:
    """masked, causal or seq2seq.

    Raises:
        LabError: the model is none of them.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as SEQ2SEQ

    model_type = config.model_type
    architecture = (getattr(config, "architectures", None) or [""])[0]
    if getattr(config, "is_encoder_decoder", False):
        if model_type in SEQ2SEQ:
            return "seq2seq"
    elif model_type in MASKED and architecture not in {CAUSAL.get(model_type)} - {MASKED[model_type]}:
        return "masked"
    elif model_type in CAUSAL:
        return "causal"
    raise LabError(
        f"backbone {name!r} is a {model_type} model ({architecture}); expected a masked, causal or seq2seq LM"
    )


def revision_of(source: Checkpoint, model: Any, missing: Collection[str]) -> str:
    """What names a base's weights exactly: its revision, or a hash of those that its checkpoint held."""
    return source.revision() or weights_hash(model, without=missing)


def weights_hash(model: Any, without: Collection[str] = ()) -> str:
    """sha256 over the names and values of all parameters and buffers but some, as ``sha256:`` and 16 hex digits."""
    return tensors_hash({key: value for key, value in model.state_dict().items() if key not in without})


def tensors_hash(tensors: Mapping[str, Any], *said: str) -> str:
    """sha256 over the names and values of tensors, after some words, as ``sha256:`` and 16 hex digits."""
    import torch

    digest = hashlib.sha256("".join(said).encode())
    for key, value in sorted(tensors.items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()[:16]}"


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Say what to do when a checkpoint cannot be had, in place of the library's own many lines."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:  # each file format has errors of its own
        if Path(name).is_dir():
            raise LabError(
                f"the folder {name!r} is no checkpoint that can be read: {_first_line(error)}\nA local backbone is a folder with "
                "config.json, a tokenizer and weights that belong together, as save_pretrained writes them."
            ) from error
        raise LabError(
            f"backbone {name!r} could not be had from the hub: {_first_line(error)}\nWithout a network, use a packaged backbone "
            "(minilm-mlm; `prompt-lab list backbones` shows them) or the path of a local folder."
        ) from error


@contextmanager
def silent() -> Iterator[None]:
    """Keep the load report and its progress bar to ourselves: what is missing is handed on, and told where it matters."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
