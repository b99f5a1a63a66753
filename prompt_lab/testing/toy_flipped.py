"""The toy task with every test label wrong: a paradigm that never sees them cannot tell the difference."""

from dataclasses import replace

from prompt_lab.testing.toy import TASK as TOY
from prompt_lab.testing.toy import Made

TASK = replace(TOY, source=Made(flip_test=True))
