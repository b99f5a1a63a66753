"""Whether W&B can be reached, and by whom."""

import warnings
from typing import Any

SECONDS = 20
"""How long W&B's server may take to say who is logged in."""


def refusal() -> str | None:
    """Why nothing can be sent to W&B now: nobody is logged in, or its server does not answer; None if it can. Nobody is asked."""
    try:
        if not _logged_in():
            return "nobody is logged in to W&B; `wandb login` does that, or WANDB_API_KEY"
        viewer = api().viewer
    except Exception as error:
        return f"W&B does not answer ({type(error).__name__}: {str(error).strip().splitlines()[0]})"
    return None if viewer is not None else "W&B does not know this API key; `wandb login --relogin` sets another"


def _logged_in() -> bool:
    """Whether W&B finds an API key. It is not sent anywhere yet."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return bool(wandb.login(prompt=False, verify=False))


def api() -> Any:
    """W&B's public API."""
    import wandb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wandb.Api(timeout=SECONDS)
