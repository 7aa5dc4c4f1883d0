"""argparse as these commands want it: nothing abbreviated, and the nearest name for an option there is not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from keras_resnet.errors import nearest


class Parser(argparse.ArgumentParser):
    """A parser that takes options in full alone, so that a new one changes no command that was written before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        # Here, since only the command's own parser knows the command's options.
        for word in unknown:
            if word.startswith("--"):
                name = word.split("=")[0]
                near = nearest(name.strip("-"), [option[2:] for option in self._option_string_actions if option[2:]])
                self.error(f"there is no option {name}{f'; did you mean --{near}?' if near else ''}")
        return found, unknown
