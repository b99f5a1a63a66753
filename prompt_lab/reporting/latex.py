"""The comparison as LaTeX: a table a group with the rules of the package ``booktabs``."""

from collections.abc import Sequence

from prompt_lab.reporting.columns import Column
from prompt_lab.reporting.rows import Row, groups
from prompt_lab.reporting.table import View, told_apart

WRITTEN = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "[": "{[}", "]": "{]}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}",
    "–": "--", "−": "$-$", "≈": r"$\approx$", "≥": r"$\geq$", "×": r"$\times$", "±": r"$\pm$", "·": r"$\cdot$", "†": r"\dag",
}  # fmt: skip
"""Characters that LaTeX reads as its own, or that its standard fonts lack."""
HEAD = "% \\usepackage{booktabs}\n"


def escaped(text: str) -> str:
    """Text as LaTeX prints it letter by letter."""
    return "".join(WRITTEN.get(letter, letter) for letter in text)


def latex(view: View) -> str:
    """A ``table`` a group, its caption the group's title; the note stands as a comment at the end."""
    tables = [_table(part, [c for c in view.columns if c.head != "strategy"]) for part in groups(view.rows)]
    return "\n".join([HEAD, *tables, f"% {view.note}\n"])


def _table(part: Sequence[Row], columns: Sequence[Column]) -> str:
    heads = [column.heading(part[0].metric).replace("-\n", "").split("\n") for column in columns]
    deep = max(map(len, heads))
    lines = [[""] * (deep - len(head)) + head for head in heads]
    body = [_line([line[i] for line in lines]) for i in range(deep)]
    for number, (name, section) in enumerate(told_apart(part)):
        body.append("\\midrule\n" if not number or name is not None else "")
        if name is not None:
            body.append(f"\\multicolumn{{{len(columns)}}}{{l}}{{\\emph{{{escaped(name)}}}}} \\\\\n")
        body += [_line([column.cell(row) for column in columns], [c.strong(row) for c in columns]) for row in section]
    form = "".join("l" if column.words else "r" for column in columns)
    return (
        f"\\begin{{table}}\n\\centering\\small\n\\caption{{{escaped(part[0].title)}}}\n\\begin{{tabular}}{{{form}}}\n\\toprule\n"
        f"{''.join(body)}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _line(cells: Sequence[str], strong: Sequence[bool] = ()) -> str:
    written = [escaped(cell) for cell in cells]
    for number, is_strong in enumerate(strong):
        written[number] = f"\\textbf{{{written[number]}}}" if is_strong else written[number]
    return " & ".join(written) + " \\\\\n"
