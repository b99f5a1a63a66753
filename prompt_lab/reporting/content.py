"""Everything that a full report says, however it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prompt_lab.reporting import pictures
from prompt_lab.reporting.cards import Card, cards
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.headline import headline
from prompt_lab.reporting.instances import Instances, instances
from prompt_lab.reporting.loading import Failure
from prompt_lab.reporting.pictures import Picture
from prompt_lab.reporting.reliability import Curve, calibrated
from prompt_lab.reporting.rows import Row, groups
from prompt_lab.reporting.study import Study


@dataclass(frozen=True)
class Content:
    """What a full report says.

    Attributes:
        rows: of the table, with their findings.
        baseline: whom they were compared with, or None.
        headline: what is said first.
        problems: what was left out, and why.
        failures: cells that failed.
        pictures: those that were drawn, the overview first.
        missing: why some pictures are not there.
        calibration: of every group its title, and the calibration of each of its paradigms.
        instances: test examples that are missed or disputed.
        cards: one a row.
    """

    rows: Sequence[Row]
    baseline: str | None
    headline: Sequence[str]
    problems: Sequence[str]
    failures: Sequence[Failure]
    pictures: Sequence[Picture]
    missing: Sequence[str]
    calibration: Sequence[tuple[str, Sequence[Curve]]]
    instances: Sequence[Instances]
    cards: Sequence[Card]

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        records: Sequence[Record],
        study: Study,
        baseline: str | None,
        failures: Sequence[Failure],
        folder: Path,
    ) -> "Content":
        """Collect it, and draw the pictures into a folder.

        Raises:
            LabError: the folder cannot be written to.
        """
        drawn = pictures.draw(rows, records, folder)
        more, missing = pictures.draw_more(rows, records, study.outcomes, baseline, folder)
        calibration = [(part[0].title, calibrated(part, study.outcomes)) for part in groups(rows)]
        return cls(
            rows,
            baseline,
            headline(rows, records, baseline),
            study.problems,
            failures,
            [*drawn, *more],
            missing,
            [(title, curves) for title, curves in calibration if curves],
            instances(rows, study.outcomes),
            cards(rows, records),
        )
