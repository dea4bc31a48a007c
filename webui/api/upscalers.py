"""Names of what enlarges, which A1111 keeps in two lists."""

from __future__ import annotations

from webui.domain.enlarging import NO_UPSCALER, RESAMPLERS
from webui.domain.hires_options import LATENT_UPSCALERS
from webui.errors import InvalidRequest, ModelNotFound, did_you_mean
from webui.runtime import Runtime


def check_upscaler(runtime: Runtime, name: str, field: str, *, latent: bool = False) -> None:
    """Refuses a name that there is none of, with near matches. ``latent``: where latents may be enlarged, too."""
    modes = LATENT_UPSCALERS if latent else ()
    if name.casefold() in [mode.casefold() for mode in modes]:
        return
    try:
        runtime.upscaler_name(name)
    except ModelNotFound as error:
        networks = [file.name for file in runtime.upscalers() if not file.problem]
        hint = did_you_mean(name, [*modes, NO_UPSCALER, *RESAMPLERS, *networks])
        raise InvalidRequest(f'{field}: there is no upscaler "{name}". {hint}', field) from error
