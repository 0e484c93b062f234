"""What the tasks have in common that give frames of numbers and ask for one class of the whole sample."""

from __future__ import annotations

from tfx_engine.data.task import Task

CLASS_TOKEN = "class"


class FrameTask(Task):
    """Its labels name places in the sample: a class token, where there is one, and then the frames."""

    def token_text(self, token: int) -> str:
        """What stands at a place."""
        frame = token - (self.context - self.card.frames)
        return CLASS_TOKEN if frame < 0 else self.frame_text(frame)

    def frame_text(self, frame: int) -> str:
        """A short label for a frame."""
        raise NotImplementedError
