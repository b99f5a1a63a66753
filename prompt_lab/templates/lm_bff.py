"""LM-BFF's own template strings, such as ``*cls**sent_0*_It_was*mask*.*sep+*``, read as patterns (Gao et al. 2021).

What stands between stars, by turns: text, in which ``_`` is a space, and variables:

=================================  ========================================================================================
``*cls*``                          the first token; every backbone puts its own
``*sep*``, ``*sep+*``              at the end the closing token; elsewhere ``{sep}``
``*mask*``                         ``{mask}``
``*sent_0*``, ``*sent_1*``         the fields, in order
``*sent-_0*``                      without its last character: here ``.rstrip_punctuation``, which cuts off nothing but punctuation
``*sentl_0*``, ``*sentu_0*``       with its first letter small, or capital
``*sentl-_0*``                     both
``*+sent_0*``                      with a space in front; so for all of these
=================================  ========================================================================================

LM-BFF's label words begin with a space wherever the mask stands, so one is put in front of it, but not at the very beginning:
there a word begins without, as backbones know it, where LM-BFF for TREC reads " Description" as the first word of a text.
LM-BFF tokenises stretch by stretch and this package the text as a whole; both read the same tokens unless two stretches together
make one, such as ")" and "?".
"""

import re
from collections.abc import Sequence

from prompt_lab.errors import LabError, unknown

_FIELD = re.compile(r"\+?sent([lu]?)(-?)_(\d+)")
_LABEL = re.compile(r"labelx?_\w+")
_FIRST = {"": "", "l": ".lower_first", "u": ".upper_first"}
_SINGLE = ("cls", "sep", "sep+", "mask")
_KNOWN = (*_SINGLE, "sent_0", "sent-_0", "sentl_0", "sentl-_0", "sentu_0", "+sent_0", "+sentl_0", "+sentu_0")


def translated(text: str, fields: Sequence[str]) -> str | None:
    """The pattern that an LM-BFF string means.

    Args:
        text: any template setting.
        fields: the names of the task's text fields, in order.

    Returns:
        The pattern; None where the text is no such string, as it has no ``*cls*``.

    Raises:
        LabError: an unknown variable, stars that do not pair, a text that the task does not have, or demonstrations.
    """
    if "*cls*" not in text:
        return None
    parts = text.split("*")
    if len(parts) % 2 == 0:
        raise LabError(f"template {text!r} has a star without its partner: LM-BFF's variables stand between two stars")
    literals, variables = parts[0::2], parts[1::2]
    for literal in literals:
        if _is_variable(literal):
            raise LabError(f"template {text!r} has {literal!r} as text; give it two stars of its own: *{literal}*")
    if variables[0] != "cls" or literals[0] or "cls" in variables[1:]:
        raise LabError(f"template {text!r} must begin with *cls*, and have no other one")
    pattern = ""
    for literal, variable in zip(literals, variables, strict=False):
        pattern += _escaped(literal)
        pattern = _added(pattern, variable, text, fields)
    pattern += _escaped(literals[-1])
    while pattern.endswith("{sep}"):
        pattern = pattern.removesuffix("{sep}")
    return pattern


def _added(pattern: str, variable: str, text: str, fields: Sequence[str]) -> str:
    """The pattern with what a variable stands for behind it."""
    if variable == "cls":
        return pattern
    if variable in ("sep", "sep+"):
        return pattern + "{sep}"
    if variable == "mask":
        space = " " if pattern and not pattern[-1].isspace() else ""
        return f"{pattern}{space}{{mask}}"
    if _LABEL.fullmatch(variable):
        raise LabError(f"template {text!r} has *{variable}*. {_INSTEAD}")
    found = _FIELD.fullmatch(variable)
    if found is None:
        raise unknown("variable", variable, _KNOWN, more=f"It stands between stars in {text!r}.")
    first, minus, number = found[1], found[2], int(found[3])
    if number >= len(fields):
        texts = ", ".join(f"*sent_{i}* is {name}" for i, name in enumerate(fields))
        raise LabError(f"template {text!r} has *{variable}*, but the task's texts are: {texts}. {_INSTEAD}")
    options = (".rstrip_punctuation" if minus else "") + _FIRST[first]
    space = " " if variable.startswith("+") else ""
    return f"{pattern}{space}{{{fields[number]}{options}}}"


_INSTEAD = "Demonstrations are not written into a template here: the paradigm LmBff puts them beside any."


def _is_variable(literal: str) -> bool:
    return literal in _SINGLE or bool(_FIELD.fullmatch(literal) or _LABEL.fullmatch(literal))


def _escaped(literal: str) -> str:
    return literal.replace("_", " ").replace("{", "{{").replace("}", "}}")
