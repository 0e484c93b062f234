"""One submission: several configurations checked in depth, then queued together or refused together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import problem_from_data
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.interleaving import BASELINE, CONTROL, MEMBER, Part
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Reply, Submit
from tfx_engine.protocol.problems import Problem, errors_among
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.store import absolute
from tfx_engine.service import refusals
from tfx_engine.service.outbox import Outbox
from tfx_engine.service.questions import Questions
from tfx_engine.service.runs import Queued, RunQueue

_SECOND = tr_mark("{name} (control)")


class Submission:
    """`begin()` checks; the reply and the queued run files follow at once, or when the worker has checked too.

    Without `questions` the worker is not asked.
    """

    def __init__(self, request: Submit, queue: RunQueue, questions: Questions | None, outbox: Outbox) -> None:
        self._request = request
        self._queue = queue
        self._questions = questions
        self._outbox = outbox
        self._configs: list[Config] = []
        self._problems: list[Problem] = []
        self._unanswered = 0

    def begin(self) -> None:
        """Check everything; end at once where nothing is left to be asked."""
        if not self._request.configs:
            self._problems.append(refusals.no_configuration())
        for index, data in enumerate(self._request.configs):
            config, problems = parse_config(data)
            self._configs.append(_independent_of_folder(config))
            self._found(index, problems)
        if self._problems or self._questions is None:
            self._end()
            return
        self._unanswered = len(self._configs)
        for index, config in enumerate(self._configs):
            self._ask(self._questions, index, config)

    def _ask(self, questions: Questions, index: int, config: Config) -> None:
        def answer(reply: Reply | None, reason: str) -> None:
            if reply is None:
                self._found(index, [refusals.not_checked(reason)])
            else:
                self._found(index, errors_among(problem_from_data(p) for p in reply.problems))
            self._unanswered -= 1
            if not self._unanswered:
                self._end()

        questions.check(config.as_dict(), answer)

    def _found(self, index: int, problems: list[Problem] | tuple[Problem, ...]) -> None:
        """Of several configurations the path says which one is meant."""
        for problem in problems:
            if len(self._request.configs) > 1:
                where = f"configs[{index}].{problem.path}".rstrip(".")
                problem = msgspec.structs.replace(problem, path=where)
            self._problems.append(problem)

    def _end(self) -> None:
        if not self._problems:
            try:
                runs = self._create()
            except RunFileError as error:
                self._problems.append(error.problem)
            else:
                self._queue.add(runs)
                controls = [str(run.path) for run in runs if run.part is not None and run.part.role == CONTROL]
                paths = [str(run.path) for run in runs if str(run.path) not in controls]
                self._outbox.reply(self._request.id, runs=paths, control="".join(controls))
                return
        self._outbox.refuse(self._request.id, self._problems)

    def _create(self) -> list[Queued]:
        """All run files, or none: where one cannot be made, those before it are taken back."""
        runs: list[Queued] = []
        try:
            for index, part, path in self._parts():
                given = self._request.toml[index] if index < len(self._request.toml) else ""
                toml = given or dumps(self._request.configs[index])
                facts = self._request.facts[index] if index < len(self._request.facts) else {}
                config = self._configs[index]
                if part is not None and part.role == CONTROL:
                    config = dataclasses.replace(config, name=_SECOND.format(name=config.name))
                runs.append(self._queue.create(config, toml, self._request.comparison, facts, part, path))
        except RunFileError:
            for run in runs:
                run.discard()
            raise
        return runs


    def _parts(self) -> list[tuple[int, Part | None, Path | None]]:
        """For each run file the number of its configuration, its part in an interleaved comparison, and its path."""
        asked, numbers = self._request.interleave, range(len(self._configs))
        if asked is None:
            return [(number, None, None) for number in numbers]
        second = self._queue.new_path(self._configs[0]) if asked.control else None
        first = Part(role=BASELINE, control=str(second) if second else "", asked=asked)
        parts: list[tuple[int, Part | None, Path | None]] = [(0, first, None)]
        if second is not None:
            parts.append((0, Part(role=CONTROL, asked=asked), second))
        return parts + [(number, Part(role=MEMBER, asked=asked), None) for number in numbers[1:]]


def _independent_of_folder(config: Config) -> Config:
    """A queued run may be done by a later service, started elsewhere: its paths must not depend on where."""
    data, run = config.data, config.run
    if data.path is not None:
        data = dataclasses.replace(data, path=_absolute(data.path))
    if run.store is not None:
        run = dataclasses.replace(run, store=_absolute(run.store))
    if run.start_from is not None:
        run = dataclasses.replace(run, start_from=_absolute(run.start_from))
    return dataclasses.replace(config, data=data, run=run)


def _absolute(path: str) -> str:
    return str(absolute(path)) if path else path
