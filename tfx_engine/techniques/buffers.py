"""Modules of the user's own keep numbers beside their parameters: a mask, a table of angles, running statistics.

A model is first put together on the device "meta", where nothing has numbers, and its parameters are filled afterwards.
Nobody could fill what else a module computes when it is made; so such a module is made where there are numbers.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook


def with_buffers(make: Callable[[], Any]) -> Any:
    """What `make` gives. Of a module made under the device "meta" parameters have no numbers, but buffers have them."""
    if torch.get_default_device().type != "meta":
        return make()
    try:
        module = make()
        if _is_whole(module):
            return module
    except Exception:  # what asks for a number when it is made cannot be made without
        pass
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        try:
            with _parameters_on_meta():  # however large they are
                module = make()
            if _is_whole(module):
                return module
        except Exception:  # it asks for numbers of its parameters too
            pass
        module = make()
    with _parameters_on_meta():
        for part in module.modules() if isinstance(module, nn.Module) else ():
            for name, parameter in list(part.named_parameters(recurse=False)):
                part.register_parameter(name, parameter)
    return module


def plain_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of what lies in plain attributes, of which torch knows nothing."""
    for name, part in module.named_modules():
        for key, value in vars(part).items():
            if isinstance(value, Tensor):
                yield f"{name}.{key}".lstrip("."), value


def _is_whole(module: Any) -> bool:
    """Whether all that a module has beside its parameters has numbers; what is no module has none."""
    if not isinstance(module, nn.Module):
        return True
    return not any(t.is_meta for _, t in (*module.named_buffers(), *plain_tensors(module)))


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """What this thread registers as parameters is one on the device "meta" instead, a shared one once."""
    thread, made = threading.get_ident(), dict[nn.Parameter, nn.Parameter]()

    def replaced(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or parameter.is_meta or threading.get_ident() != thread:
            return None  # as it is
        if parameter not in made:
            made[parameter] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
        return made[parameter]

    hook = register_module_parameter_registration_hook(replaced)  # torch knows hooks of the whole process alone
    try:
        yield
    finally:
        hook.remove()
